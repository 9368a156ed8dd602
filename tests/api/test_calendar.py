"""GET /api/tasks/calendar.ics: the open tasks with a due date, as events that calendars can read (RFC 5545)."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from icalendar import Calendar
from werkzeug.test import TestResponse

from tests.support.callers import Caller, read_problem, read_tasks
from tests.support.databases import Database
from tests.support.pages import add_large_tasks
from todo.tasks import calendar
from todo.tasks.events import INCOMPLETE
from todo.tasks.zones import list_zones

PATH = "/api/tasks/calendar.ics"
RULE = {"rule": "FREQ=DAILY", "time_zone": "Europe/Berlin"}
AT = "2027-03-05T08:00:00.000000Z"


def read_calendar(caller: Caller) -> Any:
    """Return the calendar of a user, after a check of its lines (section 3.1)."""
    response = caller.get(PATH)
    assert response.status_code == 200
    assert response.content_type == "text/calendar; charset=utf-8"
    *lines, end = response.data.split(b"\r\n")
    assert end == b""
    assert max(map(len, lines)) <= 75
    assert not any(byte < 32 and byte != 9 for line in lines for byte in line)
    for line in lines:
        line.decode()
    return Calendar.from_ical(response.data)


def read_events(caller: Caller) -> dict[str, Any]:
    """Return the events by their summaries; a second event of a task has "-next" behind it."""
    events = read_calendar(caller).walk("VEVENT")
    found = {f"{event['SUMMARY']}{'-next' * event['UID'].endswith('-next')}": event for event in events}
    assert len(found) == len(events)
    return found


def read_lines(caller: Caller, name: str) -> list[str]:
    """Return the lines of a property, unfolded."""
    lines = caller.get(PATH).text.replace("\r\n ", "").split("\r\n")
    return [line for line in lines if line.startswith((f"{name}:", f"{name};"))]


def test_open_tasks_with_a_due_date_are_events(alice: Caller) -> None:
    alice.add("no due date")
    alice.add("done", due_date="2027-03-05", completed=True)
    alice.delete(f"/api/tasks/{alice.add('deleted', due_date='2027-03-05')['id']}")
    day, time = alice.add("a day", due_date="2027-02-28"), alice.add("a time", due_date="2027-03-05T10:00:00.5+02:00")
    events = read_events(alice)
    assert set(events) == {"a day", "a time"}
    assert (events["a day"]["DTSTART"].dt, events["a day"]["DTEND"].dt) == (date(2027, 2, 28), date(2027, 3, 1))
    assert events["a time"]["DTSTART"].dt == datetime(2027, 3, 5, 8, tzinfo=UTC)
    assert "DTEND" not in events["a time"]
    for task, event in ((day, events["a day"]), (time, events["a time"])):
        assert event["UID"] == task["uid"]
        assert event["TRANSP"] == "TRANSPARENT"
        updated_at = datetime.fromisoformat(task["updated_at"]).replace(microsecond=0)
        assert event["DTSTAMP"].dt == event["LAST-MODIFIED"].dt == event["CREATED"].dt == updated_at


def test_the_calendar_has_a_name_and_an_interval(alice: Caller) -> None:
    calendar = read_calendar(alice)
    assert (calendar["VERSION"], calendar["NAME"], calendar["X-WR-CALNAME"]) == ("2.0", "Tasks", "Tasks")
    assert calendar["REFRESH-INTERVAL"].dt == timedelta(hours=1)
    assert calendar.walk("VEVENT") == []
    assert calendar.errors == []


TEXTS = [
    "a, b; c\\n d: \"e\" 'f'",
    "first\nsecond\r\nthird\n\nEND:VEVENT\nBEGIN:VEVENT\nUID:x",
    "ü" * 100,
    "x" + "𝄞" * 60,
    "👩‍👩‍👧‍👦 und العربية und 日本語 " * 6,
    "\\\\;;,,\\n" * 20,
    " leading and trailing\t ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_survive_escaping_and_folding(alice: Caller, text: str) -> None:
    task = alice.add(text, description=f"{text}\n{text}", due_date="2027-03-05", tags=["a,b", "c;d\\", "é"])
    [event] = read_calendar(alice).walk("VEVENT")
    assert event["SUMMARY"] == task["title"].replace("\r\n", "\n")
    assert event["DESCRIPTION"] == f"{text}\n{text}".replace("\r\n", "\n")
    assert [str(each) for each in event["CATEGORIES"].cats] == ["a,b", "c;d\\", "é"]


def test_control_characters_are_not_in_the_file(alice: Caller) -> None:
    controls = "".join(map(chr, [*range(1, 32), 127, 0x85, 0x2028, 0x2029]))
    alice.add(f"a{controls}b", due_date="2027-03-05")
    [summary] = read_lines(alice, "SUMMARY")
    assert summary == "SUMMARY:a\t" + "\\n" * 10 + "b"


@pytest.mark.parametrize(("priority", "number"), [("high", 1), ("medium", 5), ("low", 9), (None, None)])
def test_priorities_are_numbers(alice: Caller, priority: str | None, number: int | None) -> None:
    alice.add(due_date="2027-03-05", priority=priority)
    [event] = read_calendar(alice).walk("VEVENT")
    assert event.get("PRIORITY") == number


@pytest.mark.parametrize(
    ("task", "trigger"),
    [
        ({"due_date": AT}, "TRIGGER;VALUE=DATE-TIME:20270304T230000Z"),
        ({"due_date": "2027-03-05"}, "TRIGGER;VALUE=DATE-TIME:20270304T230000Z"),
        # Relative to the local start, of which each occurrence has its own.
        ({"due_date": AT, "recurrence": RULE}, "TRIGGER:-P0DT9H0M0S"),
        ({"due_date": "2027-03-05", "recurrence": RULE}, "TRIGGER:P0DT0H0M0S"),
        ({"due_date": "2027-03-09", "recurrence": RULE}, "TRIGGER:-P4DT0H0M0S"),
        ({"due_date": "2027-03-04", "recurrence": RULE}, "TRIGGER:P1DT0H0M0S"),
        ({"due_date": AT, "recurrence": RULE | {"from": "completion"}}, "TRIGGER;VALUE=DATE-TIME:20270304T230000Z"),
    ],
)
def test_a_reminder_is_an_alarm(alice: Caller, task: dict[str, Any], trigger: str) -> None:
    alice.add("Call", remind_at="2027-03-05T00:00:00+01:00", **task)
    assert read_lines(alice, "TRIGGER") == [trigger]
    [alarm] = read_calendar(alice).walk("VALARM")
    assert (alarm["ACTION"], alarm["DESCRIPTION"]) == ("DISPLAY", "Call")


@pytest.mark.parametrize(
    ("due_date", "rule", "written"),
    [
        ("2027-03-05", "FREQ=DAILY", "FREQ=DAILY"),
        ("2027-03-05", "INTERVAL=3;FREQ=DAILY", "FREQ=DAILY;INTERVAL=3"),
        ("2027-03-05", "FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=FR"),
        ("2027-03-05", "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR,MO", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR"),
        ("2027-03-05", "FREQ=MONTHLY", "FREQ=MONTHLY;BYMONTHDAY=5"),
        ("2027-03-31", "FREQ=MONTHLY", "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ("2027-03-31", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ("2027-03-26", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=MONTHLY;BYDAY=-1FR"),
        ("2027-03-05", "FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=5"),
        ("2028-02-29", "FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1"),
        ("2027-02-28", "FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28"),
        ("2027-03-05", "FREQ=DAILY;UNTIL=20270701", "FREQ=DAILY;UNTIL=20270701"),
        (AT, "FREQ=DAILY;UNTIL=20270701", "FREQ=DAILY;UNTIL=20270701T215959Z"),
        (AT, "FREQ=DAILY;UNTIL=99991231", "FREQ=DAILY;UNTIL=99991231T235959Z"),
    ],
)
def test_a_rule_does_not_depend_on_the_start(alice: Caller, due_date: str, rule: str, written: str) -> None:
    alice.add(due_date=due_date, recurrence={"rule": rule, "time_zone": "Europe/Berlin"})
    assert f"RRULE:{written}" in read_lines(alice, "RRULE")
    assert len(read_calendar(alice).walk("VEVENT")) == 1


def test_short_months_are_added_to_the_rule(alice: Caller) -> None:
    """Few calendars understand a rule for the 30th, or for the last day of a shorter month."""
    alice.add(due_date="2026-01-30", recurrence={"rule": "FREQ=MONTHLY;INTERVAL=13;UNTIL=20330101"})
    assert read_lines(alice, "RRULE") == ["RRULE:FREQ=MONTHLY;INTERVAL=13;BYMONTHDAY=30;UNTIL=20330101"]
    assert read_lines(alice, "RDATE") == ["RDATE;VALUE=DATE:20270228"]
    local = {"rule": "FREQ=MONTHLY;UNTIL=20290228", "time_zone": "Europe/Berlin"}
    alice.add("Pay", due_date="2026-11-30T08:00:00Z", recurrence=local)
    assert "RDATE;TZID=Europe/Berlin:20270228T090000,20280229T090000,20290228T090000" in read_lines(alice, "RDATE")
    # The occurrence of February itself.
    alice.patch(
        f"/api/tasks/{alice.add('Rest', due_date='2027-01-29', recurrence=local)['id']}", json={"completed": True}
    )
    assert read_events(alice)["Rest"]["DTSTART"].dt == date(2027, 2, 28)
    assert "RDATE;VALUE=DATE:20270228,20290228" in read_lines(alice, "RDATE")


def test_a_recurring_time_is_local(alice: Caller) -> None:
    for zone in ("Europe/Berlin", "UTC"):
        alice.add(zone, due_date=AT, recurrence=RULE | {"time_zone": zone})
    assert set(read_lines(alice, "DTSTART")) >= {
        "DTSTART;TZID=Europe/Berlin:20270305T090000",
        "DTSTART:20270305T080000Z",
    }
    [zone] = read_calendar(alice).walk("VTIMEZONE")
    assert zone["TZID"] == "Europe/Berlin"
    # A change by a rule each year, in the form that Outlook reads.
    winter, summer = timedelta(hours=1), timedelta(hours=2)
    for change, month, before, after, hour in (("DAYLIGHT", 3, winter, summer, 2), ("STANDARD", 10, summer, winter, 3)):
        [part] = zone.walk(change)
        assert part["RRULE"].to_ical().decode() == f"FREQ=YEARLY;BYDAY=-1SU;BYMONTH={month}"
        assert (part["TZOFFSETFROM"].td, part["TZOFFSETTO"].td) == (before, after)
        assert (part["DTSTART"].dt.month, part["DTSTART"].dt.hour, part["DTSTART"].dt.weekday()) == (month, hour, 6)


def test_a_moved_occurrence_is_an_event_beside_the_rule(alice: Caller) -> None:
    task = alice.add("Swim", due_date="2027-03-05T08:00:00Z", recurrence=RULE | {"rule": "FREQ=WEEKLY;UNTIL=20270319"})
    path = f"/api/tasks/{task['id']}"
    assert set(read_events(alice)) == {"Swim"}
    alice.patch(path, json={"due_date": "2027-03-06T09:30:00Z"})
    events = read_events(alice)
    assert events["Swim"]["DTSTART"].dt == datetime(2027, 3, 6, 9, 30, tzinfo=UTC)
    assert "RRULE" not in events["Swim"]
    assert events["Swim"]["UID"] == task["uid"]
    assert events["Swim-next"]["UID"] == f"{task['uid']}-next"
    assert events["Swim-next"]["DTSTART"].dt == datetime(2027, 3, 12, 10, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert events["Swim-next"]["RRULE"]["BYDAY"] == ["FR"]
    # Nothing of the rule follows.
    alice.patch(path, json={"due_date": "2027-03-20"})
    assert set(read_events(alice)) == {"Swim"}


def test_a_rule_from_the_completion_is_one_event(alice: Caller) -> None:
    """Its next day is not known before the completion."""
    alice.add(due_date=AT, recurrence=RULE | {"from": "completion"})
    [event] = read_calendar(alice).walk("VEVENT")
    assert "RRULE" not in event
    assert event["DTSTART"].dt == datetime(2027, 3, 5, 8, tzinfo=UTC)


def test_the_second_of_two_local_times_is_exact(alice: Caller) -> None:
    """An event would repeat the first one (section 3.3.5)."""
    alice.add("Late", due_date="2027-10-31T01:30:00Z", recurrence=RULE)
    events = read_events(alice)
    assert events["Late"]["DTSTART"].dt == datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    assert events["Late-next"]["DTSTART"].dt == datetime(2027, 11, 1, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))


def test_a_time_that_a_clock_skips_stays_the_time_of_the_rule(alice: Caller) -> None:
    """An event at 02:30 is at 03:30 on the day on which this hour is skipped (section 3.3.5)."""
    task = alice.add("Early", due_date="2027-03-27T01:30:00Z", recurrence=RULE)
    alice.patch(f"/api/tasks/{task['id']}/complete")
    [task] = read_tasks(alice.get("/api/tasks?status=pending"))
    assert task["due_date"] == "2027-03-28T01:30:00.000000Z"
    assert read_lines(alice, "DTSTART")[-1] == "DTSTART;TZID=Europe/Berlin:20270328T023000"


def test_the_first_and_the_last_days_are_events(alice: Caller) -> None:
    stored = []
    for due_date, zone, rule in product(
        ("0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("Pacific/Kiritimati", "Pacific/Pago_Pago"),
        ("FREQ=DAILY", "FREQ=MONTHLY", "FREQ=YEARLY;UNTIL=99991231"),
    ):
        recurrence = {"rule": rule, "time_zone": zone}
        new = {"title": "x", "due_date": due_date, "recurrence": recurrence, "remind_at": "9999-12-31T23:59:59Z"}
        response: Any = alice.post("/api/tasks", json=new)
        assert response.status_code in {201, 422}, response.text
        stored += [response.json["id"]] if response.status_code == 201 else []
    assert len(stored) > 12
    for moved in ("2027-03-05", "9999-12-31"):
        assert len(read_calendar(alice).walk("VEVENT")) >= len(stored)
        for task_id in stored:
            assert alice.patch(f"/api/tasks/{task_id}", json={"due_date": moved}).status_code == 200
    assert len(read_calendar(alice).walk("VEVENT")) >= len(stored)


def test_every_time_zone_can_be_written(alice: Caller) -> None:
    operations = [
        {
            "op": "create",
            "task": {"title": zone, "due_date": AT, "recurrence": {"rule": "FREQ=DAILY", "time_zone": zone}},
        }
        for zone in list(list_zones().values())[::6]
    ]
    answer = alice.post("/api/tasks/batch", json={"operations": operations})
    assert answer.status_code == 200, answer.text
    zones = {str(zone["TZID"]) for zone in read_calendar(alice).walk("VTIMEZONE")}
    assert len(zones) > 70
    assert len(read_events(alice)) == len(operations)


def test_the_latest_are_kept_if_there_are_too_many(alice: Caller) -> None:
    operations = [
        {"op": "create", "task": {"title": f"{number}", "due_date": f"2027-03-{number % 28 + 1:02}"}}
        for number in range(100)
    ]
    for _ in range(11):
        alice.post("/api/tasks/batch", json={"operations": operations})
    calendar = read_calendar(alice)
    assert calendar["X-WR-CALDESC"] == calendar["DESCRIPTION"] == INCOMPLETE
    days = [event["DTSTART"].dt for event in calendar.walk("VEVENT")]
    assert len(days) == 1000
    assert min(days) == date(2027, 3, 3)
    assert max(days) == date(2027, 3, 28)


def test_the_size_of_the_file_is_bounded(alice: Caller, database: Database) -> None:
    add_large_tasks(database, alice.user_id, 300)
    response = alice.get(PATH)
    assert 2**20 < len(response.data) < 2**21
    assert INCOMPLETE in response.text.replace("\r\n ", "")
    assert 100 < len(read_events(alice)) < 300


def test_a_known_calendar_is_304_until_something_is_written(alice: Caller) -> None:
    tags: list[str] = []
    responses: list[TestResponse] = []
    task: dict[str, Any] = {}

    def change(body: dict[str, Any]) -> None:
        alice.patch(f"/api/tasks/{task['id']}", json=body)

    for write in (
        lambda: None,
        lambda: task.update(alice.add(due_date="2027-03-05")),
        lambda: change({"title": "new"}),
        lambda: change({"completed": True}),
        lambda: alice.delete(f"/api/tasks/{task['id']}"),
        lambda: alice.post(f"/api/trash/{task['id']}/restore"),
    ):
        write()
        response = alice.get(PATH, headers={"If-None-Match": ", ".join(tags) or '"42.3"'})
        assert response.status_code == 200
        tags.append(response.headers["ETag"])
        value = tags[-1].strip('"')
        forms = (tags[-1], f'W/"{value}"', f'"{value}-gzip"', f'"42.3", {tags[-1]}', "*")
        responses += [alice.get(PATH, headers={"If-None-Match": known}) for known in forms]
    change({"title": "new"})
    assert alice.get(PATH, headers={"If-None-Match": tags[-1]}).status_code == 304
    assert len(set(tags)) == len(tags)
    for response in responses:
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] in tags
        assert "Content-Type" not in response.headers


def test_tags_of_others_and_of_tasks_do_not_match(alice: Caller, bob: Caller) -> None:
    tags = []
    for caller in (alice, bob):
        task = caller.add(due_date="2027-03-05")
        tags += [caller.get(PATH).headers["ETag"], task["etag"]]
    assert len(set(tags)) == 4
    others = f"{tags[1]}, {tags[2]}, {tags[3]}"
    assert alice.get(PATH, headers={"If-None-Match": others}).status_code == 200
    assert alice.get(f"/api/tasks/{task['id']}", headers={"If-None-Match": tags[0]}).status_code == 404


def test_a_new_year_is_a_new_calendar(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file lists changes of clocks from last year on."""
    tag = alice.get(PATH).headers["ETag"]

    class Later(datetime):
        @classmethod
        def now(cls, zone: Any = None) -> "Later":
            return cls(2099, 1, 1, tzinfo=zone)

    monkeypatch.setattr(calendar, "datetime", Later)
    assert alice.get(PATH, headers={"If-None-Match": tag}).status_code == 200


def test_head_and_other_spellings_have_the_same_calendar(alice: Caller) -> None:
    alice.add(due_date="2027-03-05")
    file = alice.get(PATH)
    assert file.headers["Content-Disposition"] == 'inline; filename="tasks.ics"'
    for path in (f"{PATH}/", f"/api/{alice.user_id}/tasks/calendar.ics"):
        assert alice.get(path).data == file.data
    head = alice.call("HEAD", PATH)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(file.data))
    assert head.headers["ETag"] == file.headers["ETag"]


def test_wrong_requests_get_the_usual_problems(alice: Caller, client: FlaskClient) -> None:
    read_problem(client.get(PATH), 401)
    read_problem(alice.get(f"{PATH}?token=x"), 422, "token")
    read_problem(alice.get("/api/somebody-else/tasks/calendar.ics"), 404)
    refused = alice.post(PATH, json={"title": "x"})
    read_problem(refused, 405)
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    read_problem(alice.get("/api/tasks/calendar"), 404)

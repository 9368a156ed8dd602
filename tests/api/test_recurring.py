"""Recurring tasks: completing, reopening, moving and ending."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from tests.support.callers import Caller, read_problem, read_task
from tests.support.pages import read_changes

TODAY = datetime.now(UTC).date()
# So far away that the day of the completion does not matter.
MONDAY = "2040-01-02"


def add(caller: Caller, rule: str, due_date: str = MONDAY, **fields: Any) -> dict[str, Any]:
    """Create a recurring task; ``from_`` and ``time_zone`` are members of its recurrence."""
    members = {name.strip("_"): fields.pop(name) for name in ("from_", "time_zone") if name in fields}
    body: dict[str, Any] = {"title": "Water the plants", "due_date": due_date, **fields}
    return read_task(caller.post("/api/tasks", json={**body, "recurrence": {"rule": rule, **members}}), 201)


def change(caller: Caller, task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return read_task(caller.patch(f"/api/tasks/{task['id']}", json=fields))


def get(caller: Caller, task_id: int) -> dict[str, Any]:
    return read_task(caller.get(f"/api/tasks/{task_id}"))


def complete(caller: Caller, task: dict[str, Any]) -> dict[str, Any]:
    """Complete a task and return its successor."""
    done = change(caller, task, completed=True)
    assert (done["completed"], done["due_date"]) == (True, task["due_date"])
    return get(caller, done["next_id"])


def list_days(caller: Caller, task: dict[str, Any], number: int) -> list[str]:
    """Return the due dates of the tasks that follow."""
    days = []
    for _ in range(number):
        task = complete(caller, task)
        days.append(task["due_date"])
    return days


def test_completing_adds_the_next_task(alice: Caller) -> None:
    same: dict[str, Any] = {"description": "All", "tags": ["Home", "Élan"], "priority": "high"}
    task = add(alice, "FREQ=DAILY;INTERVAL=2", **same, remind_at="2040-01-01T18:00:00Z")
    done = change(alice, task, completed=True)
    successor = get(alice, done["next_id"])
    assert (successor["due_date"], successor["remind_at"]) == ("2040-01-04", "2040-01-03T18:00:00.000000Z")
    names = [*same, "title", "user_id", "recurrence"]
    assert [successor[name] for name in names] == [task[name] for name in names]
    assert (successor["completed"], successor["completed_at"], successor["next_id"]) == (False, None, None)
    assert successor["uid"] != task["uid"]
    assert alice.get("/api/tasks?tag=élan").json == [successor, done]


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("FREQ=DAILY", ["01-03", "01-04"]),
        ("FREQ=DAILY;INTERVAL=99", ["04-10", "07-18"]),
        ("FREQ=WEEKLY", ["01-09", "01-16"]),
        ("FREQ=WEEKLY;BYDAY=FR,MO", ["01-06", "01-09", "01-13"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU", ["01-08", "01-16", "01-22"]),
        ("FREQ=MONTHLY", ["02-02", "03-02"]),
        ("FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=28", ["01-28", "03-28"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["01-31", "02-29", "03-31"]),
        ("FREQ=MONTHLY;BYDAY=2TU", ["01-10", "02-14", "03-13"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["01-27", "02-24", "03-30"]),
        ("FREQ=MONTHLY;BYDAY=+1SU", ["02-05", "03-04"]),
    ],
)
def test_each_rule_gives_its_days(alice: Caller, rule: str, days: list[str]) -> None:
    assert list_days(alice, add(alice, rule), len(days)) == [f"2040-{day}" for day in days]


def test_a_shorter_month_has_the_task_on_its_last_day(alice: Caller) -> None:
    assert list_days(alice, add(alice, "FREQ=MONTHLY", "2041-01-31"), 3) == ["2041-02-28", "2041-03-31", "2041-04-30"]
    assert list_days(alice, add(alice, "FREQ=YEARLY", "2040-02-29"), 4) == [
        "2041-02-28", "2042-02-28", "2043-02-28", "2044-02-29",
    ]  # fmt: skip


def test_what_was_missed_does_not_pile_up(alice: Caller) -> None:
    # Yesterday's task is due today; only the days from the completion on count.
    overdue = add(alice, "FREQ=DAILY", str(TODAY - timedelta(days=10)))
    assert complete(alice, overdue)["due_date"] == str(TODAY)
    weekly = add(alice, "FREQ=WEEKLY", str(TODAY - timedelta(days=15)))
    assert complete(alice, weekly)["due_date"] == str(TODAY + timedelta(days=6))


def test_the_day_of_completion_is_that_of_the_time_zone(alice: Caller) -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        overdue = add(alice, "FREQ=DAILY", "2020-01-01", time_zone=zone)
        assert complete(alice, overdue)["due_date"] == str(datetime.now(ZoneInfo(zone)).date())


def test_a_rule_can_count_from_the_completion(alice: Caller) -> None:
    for due in (TODAY - timedelta(days=9), TODAY + timedelta(days=9)):
        task = add(alice, "FREQ=DAILY;INTERVAL=3", str(due), from_="completion")
        assert complete(alice, task)["due_date"] == str(TODAY + timedelta(days=3))


@pytest.mark.parametrize(
    ("zone", "due_date", "rule", "instants"),
    [
        # At 02:30, Berlin's clock jumps to 03:00 on 25 March, and goes back on 28 October 2040.
        ("Europe/Berlin", "2040-03-24T02:30:00+01:00", "FREQ=DAILY", ["2040-03-25T01:30", "2040-03-26T00:30"]),
        ("Europe/Berlin", "2040-10-27T02:30:00+02:00", "FREQ=DAILY", ["2040-10-28T00:30", "2040-10-29T01:30"]),
        ("America/New_York", "2040-03-05T22:00:00-05:00", "FREQ=WEEKLY", ["2040-03-13T02:00", "2040-03-20T02:00"]),
        ("Asia/Tokyo", "2040-01-31T08:00:00+09:00", "FREQ=MONTHLY", ["2040-02-28T23:00", "2040-03-30T23:00"]),
        ("Australia/Lord_Howe", "2040-03-31T01:45:00+11:00", "FREQ=DAILY", ["2040-03-31T14:45", "2040-04-01T15:15"]),
    ],
)
def test_an_instant_keeps_its_local_time(
    alice: Caller, zone: str, due_date: str, rule: str, instants: list[str]
) -> None:
    task = add(alice, rule, due_date, time_zone=zone)
    assert list_days(alice, task, len(instants)) == [f"{instant}:00.000000Z" for instant in instants]


def test_a_reminder_keeps_its_local_time(alice: Caller) -> None:
    task = add(
        alice, "FREQ=WEEKLY", "2040-03-20", time_zone="Europe/Berlin", remind_at="2040-03-19T08:00:00+01:00"
    )  # fmt: skip
    assert complete(alice, task)["remind_at"] == "2040-03-26T06:00:00.000000Z"


def test_until_ends_the_series(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY;UNTIL=20400104")
    assert list_days(alice, task, 2) == ["2040-01-03", "2040-01-04"]
    [last] = alice.get("/api/tasks?status=pending").json or []
    assert change(alice, last, completed=True)["next_id"] is None
    assert alice.get("/api/tasks?status=pending").json == []


def test_no_task_is_due_after_the_year_9999(alice: Caller) -> None:
    for fields in (
        {"due_date": "9999-12-31"},
        {"due_date": "9999-12-30T23:00:00-05:00", "time_zone": "America/New_York"},
        {"due_date": "9999-12-20", "remind_at": "9999-12-31T12:00:00Z"},
    ):
        assert change(alice, add(alice, "FREQ=DAILY", **fields), completed=True)["next_id"] is None


def test_completing_again_adds_no_second_task(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    path = f"/api/tasks/{task['id']}"
    first = read_task(alice.patch(f"{path}/complete", json={"completed": True}))
    for method, url, body in (
        ("PATCH", f"{path}/complete", {"completed": True}),
        ("PATCH", path, {"completed": True}),
        ("PUT", path, {**first}),
        ("PUT", f"/api/tasks/{task['uid']}", {"completed": True}),
    ):
        assert read_task(alice.call(method, url, json=body)) == first
    assert len(alice.titles()) == 2


@pytest.mark.parametrize("way", ["PATCH", "PUT", "PUT by uid", "complete", "toggle", "batch", "batch by uid"])
def test_every_way_completes_and_reopens(alice: Caller, way: str) -> None:
    task = add(alice, "FREQ=DAILY")

    def send(completed: bool) -> dict[str, Any]:
        path, body = f"/api/tasks/{task['id']}", {"completed": completed}
        if way.startswith("batch"):
            name = "uid" if way.endswith("uid") else "id"
            operations = [{"op": "complete", name: task[name], **body}]
            response = alice.post("/api/tasks/batch", json={"operations": operations})
            assert response.status_code == 200, response.text
            found: dict[str, Any] = (response.json or {})["tasks"][0]
            return found
        if way == "toggle":
            return read_task(alice.patch(f"{path}/complete"))
        path = f"/api/tasks/{task['uid']}" if way == "PUT by uid" else path
        method, _, name = way.partition(" ") if way.startswith("P") else ("PATCH", "", way)
        return read_task(alice.call(method, f"{path}/complete" if name == "complete" else path, json=body))

    done = send(True)
    assert get(alice, done["next_id"])["due_date"] == "2040-01-03"
    opened = send(False)
    assert (opened["completed"], opened["next_id"]) == (False, None)
    assert alice.get("/api/tasks").json == [opened]
    assert send(True)["next_id"] not in {None, done["next_id"]}


def test_reopening_removes_a_successor_without_a_trace(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    _, cursor = read_changes(alice)
    successor = complete(alice, task)
    [done, created], later = read_changes(alice, cursor)
    assert (done["next_id"], created["id"]) == (successor["id"], successor["id"])
    opened = change(alice, task, completed=False)
    differing = {"updated_at", "etag"}
    assert {name: opened[name] for name in opened.keys() - differing} == {
        name: task[name] for name in task.keys() - differing
    }
    for path in (f"/api/tasks/{successor['id']}", f"/api/tasks/{successor['uid']}"):
        read_problem(alice.get(path), 404)
    read_problem(alice.post(f"/api/trash/{successor['id']}/restore"), 404)
    assert alice.get("/api/trash").json == []
    gone = {"id": successor["id"], "uid": successor["uid"], "deleted": True}
    for known in (cursor, later):
        changes, _ = read_changes(alice, known)
        assert [each for each in changes if each["deleted"]] == [gone]


@pytest.mark.parametrize(
    "touch",
    [
        {"title": "Water the roses"}, {"due_date": "2040-02-01"}, {"recurrence": None}, {"completed": True},
    ],
)  # fmt: skip
def test_reopening_keeps_a_successor_that_was_changed(alice: Caller, touch: dict[str, Any]) -> None:
    task = add(alice, "FREQ=DAILY")
    successor = change(alice, complete(alice, task), **touch)
    opened = change(alice, task, completed=False)
    assert opened["next_id"] == successor["id"]
    assert get(alice, successor["id"]) == successor
    # There is one already.
    number = len(alice.titles())
    assert change(alice, task, completed=True)["next_id"] == successor["id"]
    assert len(alice.titles()) == number


def test_a_successor_that_was_reset_counts_as_changed(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    successor = complete(alice, task)
    change(alice, successor, title="x")
    change(alice, successor, title=successor["title"])
    assert change(alice, task, completed=False)["next_id"] == successor["id"]


def test_a_restored_successor_counts_as_changed(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    successor = complete(alice, task)
    assert alice.delete(f"/api/tasks/{successor['id']}").status_code == 204
    read_task(alice.post(f"/api/trash/{successor['id']}/restore"))
    assert change(alice, task, completed=False)["next_id"] == successor["id"]


def test_deleting_the_open_task_ends_the_series(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    successor = complete(alice, task)
    assert alice.delete(f"/api/tasks/{successor['id']}").status_code == 204
    assert change(alice, task, completed=True)["next_id"] == successor["id"]
    assert alice.get("/api/tasks?status=pending").json == []
    # A task that is open again can be completed again.
    assert change(alice, task, completed=False)["next_id"] is None
    assert complete(alice, task)["id"] != successor["id"]


def test_a_task_without_a_rule_has_no_successor(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    assert change(alice, task, recurrence=None)["recurrence"] is None
    assert change(alice, task, completed=True)["next_id"] is None
    assert change(alice, add(alice, "FREQ=DAILY"), recurrence=None, completed=True)["next_id"] is None
    assert change(alice, alice.add(), completed=True)["next_id"] is None


def test_a_moved_task_leaves_the_pattern(alice: Caller) -> None:
    # From Monday to Wednesday; the next one is on Monday.
    task = add(alice, "FREQ=WEEKLY;INTERVAL=2")
    assert complete(alice, change(alice, task, due_date="2040-01-04"))["due_date"] == "2040-01-16"
    # Also if a client sends back the whole task.
    task = add(alice, "FREQ=MONTHLY", "2040-01-31")
    moved = read_task(alice.put(f"/api/tasks/{task['id']}", json={**task, "due_date": "2040-02-03"}))
    assert complete(alice, moved)["due_date"] == "2040-02-29"
    # And before the first day of the rule.
    task = change(alice, add(alice, "FREQ=WEEKLY"), due_date="2039-12-30")
    assert complete(alice, task)["due_date"] == MONDAY


def test_a_new_rule_counts_from_the_due_date(alice: Caller) -> None:
    task = change(alice, add(alice, "FREQ=WEEKLY"), due_date="2040-01-04")
    changed = change(alice, task, recurrence={"rule": "FREQ=WEEKLY;INTERVAL=2"})
    assert complete(alice, changed)["due_date"] == "2040-01-18"
    both = change(alice, add(alice, "FREQ=DAILY"), due_date="2040-01-31", recurrence={"rule": "FREQ=MONTHLY"})
    assert list_days(alice, both, 2) == ["2040-02-29", "2040-03-31"]
    # Other members of the recurrence do not move the pattern.
    task = change(alice, add(alice, "FREQ=WEEKLY"), due_date="2040-01-04")
    zone = {**task["recurrence"], "time_zone": "Asia/Tokyo"}
    assert complete(alice, change(alice, task, recurrence=zone))["due_date"] == "2040-01-09"


def test_a_change_that_completes_counts_for_the_successor(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    done = change(alice, task, completed=True, title="b", tags=["x"], due_date="2040-02-01", priority="low")
    successor = get(alice, done["next_id"])
    assert [successor[name] for name in ("title", "tags", "due_date", "priority")] == ["b", ["x"], "2040-02-02", "low"]


def test_a_task_that_is_created_completed_has_no_successor(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY", completed=True)
    assert (task["next_id"], len(alice.titles())) == (None, 1)
    assert complete(alice, change(alice, task, completed=False))["due_date"] == "2040-01-03"


def test_put_creates_a_recurring_task(alice: Caller) -> None:
    path = f"/api/tasks/{uuid4()}"
    body = {"title": "a", "due_date": "2040-01-31", "recurrence": {"rule": "FREQ=MONTHLY"}}
    task = read_task(alice.put(path, json=body), 201)
    assert complete(alice, change(alice, task, due_date="2040-02-10"))["due_date"] == "2040-02-29"
    read_problem(alice.put(f"/api/tasks/{uuid4()}", json={**body, "due_date": None}), 422, "due_date")
    del body["due_date"]
    read_problem(alice.put(f"/api/tasks/{uuid4()}", json=body), 422, "due_date")


def test_a_batch_may_change_the_successor_that_it_would_remove(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY")
    successor = complete(alice, task)
    operations = [
        {"op": "complete", "id": task["id"], "completed": False},
        {"op": "update", "id": successor["id"], "changes": {"title": "b"}},
    ]
    response = alice.post("/api/tasks/batch", json={"operations": operations})
    opened, changed = (response.json or {})["tasks"]
    assert (opened["next_id"], changed["title"]) == (successor["id"], "b")
    operations = [
        {"op": "complete", "id": task["id"], "completed": True},
        {"op": "create", "task": {"title": "c", "due_date": "2040-01-01", "recurrence": {"rule": "FREQ=DAILY"}}},
    ]
    done, created = (alice.post("/api/tasks/batch", json={"operations": operations}).json or {})["tasks"]
    assert done["next_id"] == successor["id"]
    operations = [
        {"op": "complete", "id": task["id"], "completed": False},
        {"op": "delete", "id": successor["id"]},
        {"op": "complete", "id": created["id"], "completed": True},
    ]
    opened, nothing, done = (alice.post("/api/tasks/batch", json={"operations": operations}).json or {})["tasks"]
    assert (opened["next_id"], nothing) == (None, None)
    assert get(alice, done["next_id"])["due_date"] == "2040-01-02"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"due_date": None}, "due_date"),
        ({"due_date": "2040-01-02T08:00:00Z"}, "recurrence.time_zone"),
        ({"due_date": None, "recurrence": {"rule": "FREQ=DAILY"}}, "due_date"),
        ({"due_date": "2040-01-02T08:00:00Z", "recurrence": {"rule": "FREQ=DAILY"}}, "recurrence.time_zone"),
        ({"due_date": None, "completed": True}, "due_date"),
    ],
)
def test_a_change_cannot_leave_a_rule_without_a_schedule(alice: Caller, changes: dict[str, Any], path: str) -> None:
    task = add(alice, "FREQ=DAILY")
    for url in (f"/api/tasks/{task['id']}", f"/api/tasks/{task['uid']}"):
        for method in ("PATCH", "PUT"):
            read_problem(alice.call(method, url, json=changes), 422, path)
    operations = [
        {"op": "create", "task": {"title": "a"}},
        {"op": "update", "id": task["id"], "changes": changes},
    ]
    batch = alice.post("/api/tasks/batch", json={"operations": operations})
    read_problem(batch, 422, f"operations.1.changes.{path}")
    assert alice.get("/api/tasks").json == [task]


def test_a_rule_needs_a_due_date(alice: Caller) -> None:
    recurrence = {"rule": "FREQ=DAILY"}
    read_problem(alice.post("/api/tasks", json={"title": "a", "recurrence": recurrence}), 422, "due_date")
    undated = alice.add()
    read_problem(alice.patch(f"/api/tasks/{undated['id']}", json={"recurrence": recurrence}), 422, "due_date")
    instant = alice.add(due_date="2040-01-02T08:00:00Z")
    path = f"/api/tasks/{instant['id']}"
    read_problem(alice.patch(path, json={"recurrence": recurrence}), 422, "recurrence.time_zone")
    zoned = {**recurrence, "time_zone": "Europe/Berlin"}
    assert change(alice, instant, recurrence=zoned)["recurrence"] == {**zoned, "from": "due"}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("FREQ=DAILY", "FREQ=DAILY"),
        ("rrule:interval=1;freq=weekly;", "FREQ=WEEKLY"),
        ("BYDAY=FR,MO,FR;INTERVAL=02;FREQ=WEEKLY", None),
        ("BYDAY=FR,MO,FR;INTERVAL=2;FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR"),
        ("UNTIL=20400229;BYDAY=+1MO;FREQ=MONTHLY", "FREQ=MONTHLY;BYDAY=1MO;UNTIL=20400229"),
        (" FREQ=MONTHLY;BYMONTHDAY=-1 ", "FREQ=MONTHLY;BYMONTHDAY=-1"),
    ],
)
def test_a_rule_is_answered_in_one_spelling(alice: Caller, given: str, stored: str | None) -> None:
    if stored is not None:
        assert add(alice, given)["recurrence"] == {"rule": stored, "from": "due", "time_zone": None}
    else:
        body = {"title": "a", "due_date": MONDAY, "recurrence": {"rule": given}}
        read_problem(alice.post("/api/tasks", json=body), 422, "recurrence.rule")


@pytest.mark.parametrize(
    ("recurrence", "path", "message"),
    [
        ({}, "rule", "Required: a rule, such as FREQ=WEEKLY"),
        ({"rule": None}, "rule", "Required: a rule"),
        ({"rule": 5}, "rule", "Must be a string, a rule, such as"),
        ({"rule": " "}, "rule", "Required: a rule, such as FREQ=WEEKLY"),
        ({"rule": "every day"}, "rule", "Has 'EVERY DAY', which is not allowed. Allowed: FREQ, INTERVAL,"),
        ({"rule": "FREQ=DA\u0131LY"}, "rule", "FREQ must be one of DAILY, WEEKLY"),
        ({"rule": "INTERVAL=2"}, "rule", "Must have FREQ, which is one of DAILY, WEEKLY, MONTHLY, YEARLY"),
        ({"rule": "FREQ=HOURLY"}, "rule", "FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY, not 'HOURLY'."),
        ({"rule": "FREQ=DAILY;FREQ=DAILY"}, "rule", "Has FREQ twice."),
        ({"rule": "FREQ=DAILY;INTERVAL=100"}, "rule", "INTERVAL must be 1 to 99, not '100'."),
        ({"rule": "FREQ=WEEKLY;INTERVAL=53"}, "rule", "INTERVAL must be 1 to 52 with FREQ=WEEKLY."),
        ({"rule": "FREQ=DAILY;COUNT=3"}, "rule", "Has 'COUNT', which is not allowed."),
        ({"rule": "FREQ=DAILY;BYDAY=MO"}, "rule", "BYDAY is allowed with FREQ=WEEKLY and FREQ=MONTHLY."),
        ({"rule": "FREQ=WEEKLY;BYDAY=1MO"}, "rule", "BYDAY must be some of MO, TU,"),
        ({"rule": "FREQ=MONTHLY;BYDAY=MO"}, "rule", "BYDAY must be 1 to 4, or -1 for the last,"),
        ({"rule": "FREQ=MONTHLY;BYDAY=5MO"}, "rule", "BYDAY must be 1 to 4, or -1 for the last,"),
        ({"rule": "FREQ=MONTHLY;BYMONTHDAY=31"}, "rule", "BYMONTHDAY must be 1 to 28, or -1 for the last day"),
        ({"rule": "FREQ=YEARLY;BYMONTHDAY=5"}, "rule", "BYMONTHDAY is allowed with FREQ=MONTHLY, without BYDAY."),
        ({"rule": "FREQ=DAILY;UNTIL=20400230"}, "rule", "UNTIL is not a day of the calendar."),
        ({"rule": "FREQ=DAILY;UNTIL=20400101T000000Z"}, "rule", "UNTIL must be a date, such as 20271231,"),
        ({"rule": "FREQ=DAILY;" * 100}, "rule", "Must have at most 200 characters, not 1100."),
        ({"rule": "FREQ=DAILY;\0"}, "rule", "Has "),
        ({"rule": "FREQ=DAILY", "from": "now"}, "from", "Must be one of due, completion."),
        ({"rule": "FREQ=DAILY", "from": None}, "from", "Must be one of due, completion."),
        ({"rule": "FREQ=DAILY", "time_zone": "Mars"}, "time_zone", "Must be the name of an IANA time zone, such as"),
        ({"rule": "FREQ=DAILY", "time_zone": 3}, "time_zone", "Must be the name of an IANA time zone, such as"),
        ({"rule": "FREQ=DAILY", "timezone": "UTC"}, "timezone", "Unknown; allowed: rule, from, time_zone."),
    ],
)
def test_an_invalid_recurrence_names_the_member(
    alice: Caller, recurrence: dict[str, Any], path: str, message: str
) -> None:
    body = {"title": "a", "due_date": MONDAY, "recurrence": recurrence}
    problem = read_problem(alice.post("/api/tasks", json=body), 422, f"recurrence.{path}")
    assert problem["errors"][f"recurrence.{path}"][0].startswith(message)


@pytest.mark.parametrize("value", ["FREQ=DAILY", [], True, 5])
def test_a_recurrence_is_an_object_or_null(alice: Caller, value: Any) -> None:
    problem = read_problem(alice.post("/api/tasks", json={"title": "a", "recurrence": value}), 422, "recurrence")
    assert problem["errors"]["recurrence"][0].startswith('Must be an object, such as {"rule": "FREQ=')
    for nothing in (None, ""):
        task = read_task(alice.post("/api/tasks", json={"title": "a", "recurrence": nothing}), 201)
        assert task["recurrence"] is None


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        # PostgreSQL would take these for abbreviations without summer time.
        ("CET", "Europe/Brussels"),
        ("EST", "America/Panama"),
        ("GMT", "Etc/GMT"),
        ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)
def test_a_time_zone_is_answered_with_its_place(alice: Caller, given: str, stored: str) -> None:
    assert add(alice, "FREQ=DAILY", time_zone=given)["recurrence"]["time_zone"] == stored


def test_a_series_goes_on_after_a_changed_successor_was_deleted(alice: Caller) -> None:
    for way in ("single", "batch"):
        task = add(alice, "FREQ=DAILY", title=way)
        successor = change(alice, complete(alice, task), title="x")
        assert change(alice, task, completed=False)["next_id"] == successor["id"]
        if way == "single":
            assert alice.delete(f"/api/tasks/{successor['id']}").status_code == 204
            done = change(alice, task, completed=True)
        else:
            operations = [
                {"op": "delete", "id": successor["id"]},
                {"op": "complete", "id": task["id"], "completed": True},
            ]
            _, done = (alice.post("/api/tasks/batch", json={"operations": operations}).json or {})["tasks"]
        assert get(alice, done["next_id"])["due_date"] == "2040-01-03"


def test_another_time_zone_keeps_the_instants_of_a_rule(alice: Caller) -> None:
    # Sunday 18:00 in New York.
    task = add(alice, "FREQ=WEEKLY", "2040-01-01T23:00:00Z", time_zone="Asia/Tokyo")
    moved = change(alice, task, recurrence={"rule": "FREQ=WEEKLY", "time_zone": "America/New_York"})
    assert list_days(alice, moved, 2) == ["2040-01-08T23:00:00.000000Z", "2040-01-15T23:00:00.000000Z"]


def test_an_end_of_the_series_does_not_move_the_pattern(alice: Caller) -> None:
    task = complete(alice, add(alice, "FREQ=MONTHLY", "2041-01-31"))
    ending = change(alice, task, recurrence={"rule": "FREQ=MONTHLY;UNTIL=20410401"})
    assert list_days(alice, ending, 1) == ["2041-03-31"]
    [last] = alice.get("/api/tasks?status=pending").json or []
    endless = change(alice, last, recurrence={"rule": "FREQ=MONTHLY"})
    assert list_days(alice, endless, 1) == ["2041-04-30"]


def test_an_instant_may_become_a_whole_day_and_back(alice: Caller) -> None:
    # At the last microsecond of the day in UTC, as a whole day is stored.
    task = add(alice, "FREQ=DAILY", "2040-01-02T23:59:59.999999Z", time_zone="America/New_York")
    day = change(alice, task, due_date="2040-01-02")
    assert complete(alice, day)["due_date"] == "2040-01-03"
    task = add(alice, "FREQ=DAILY", time_zone="America/New_York")
    instant = change(alice, task, due_date="2040-01-02T15:00:00Z")
    assert complete(alice, instant)["due_date"] == "2040-01-03T15:00:00.000000Z"

"""The calendar as other programs read it: ical.js, icalendar and khal."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.callers import Caller, read_tasks
from tests.support.commands import ROOT
from tests.support.databases import Database
from tests.support.frontend import install
from todo.tasks.zones import list_zones
from todo.web.icalendar import YEARS, find_changes, write_file, write_time_zone

PACKAGES = ROOT / "tests" / "frontend"
needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="ical.js needs Node.js")
# How many occurrences of each task are compared.
LENGTH = 6
NOON = timedelta(hours=12)
RULES = (
    *("FREQ=DAILY", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,SU"),
    *("FREQ=WEEKLY;INTERVAL=5;BYDAY=FR", "FREQ=MONTHLY", "FREQ=MONTHLY;INTERVAL=5", "FREQ=MONTHLY;BYMONTHDAY=-1"),
    *("FREQ=MONTHLY;BYMONTHDAY=28", "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=1", "FREQ=MONTHLY;BYDAY=2TU"),
    *("FREQ=MONTHLY;BYDAY=-1FR", "FREQ=MONTHLY;INTERVAL=12;BYDAY=1SU", "FREQ=YEARLY", "FREQ=YEARLY;INTERVAL=3"),
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago")
KHAL = """
[calendars]
[[tasks]]
path = {folder}/calendar
[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
local_timezone = Europe/Berlin
default_timezone = Europe/Berlin
[sqlite]
path = {folder}/cache
[default]
default_calendar = tasks
"""


def write_recurring_tasks(random: Random) -> Iterator[dict[str, Any]]:
    """Yield recurring tasks of all rules, by days and by times, some with reminders, in a leap year to come."""
    year = next(year for year in range(datetime.now(UTC).year + 1, 9999) if year % 4 == 0)
    for number in range(200):
        rule = RULES[number % len(RULES)]
        # The changes of the last zone come by no rule, so the file has them for some years only.
        zone = random.choice(ZONES[:-1] if "YEARLY" in rule or "12" in rule else ZONES)
        # Any day, ends of months, and days before clocks change.
        days = [date(year, 1, 1) + timedelta(days=random.randrange(366)), date(year, 2, 29), date(year, 3, 31)]
        day = random.choice([*days, date(year, 11, 30), *(date(year, 3, number) for number in (10, 11, 24, 25))])
        if random.random() < 0.2:
            rule += f";UNTIL={day + timedelta(days=random.randrange(2000)):%Y%m%d}"
        # Not in the hours that a clock may skip: ical.js reads such a time as an earlier one, against RFC 5545.
        minutes = random.randrange(180, 1440)
        local = datetime.combine(day, datetime.min.time(), ZoneInfo(zone)) + timedelta(minutes=minutes)
        task = {"title": f"{number}", "due_date": local.isoformat(), "recurrence": {"rule": rule, "time_zone": zone}}
        if number % 3 == 0:
            task |= {"due_date": day.isoformat(), "recurrence": {"rule": rule}}
        if number % 2:
            task["remind_at"] = (local - timedelta(days=random.randrange(3))).isoformat()
        yield task


def complete_all(caller: Caller, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Complete tasks; return those that follow."""
    for start in range(0, len(tasks), 100):
        operations = [{"op": "complete", "id": task["id"], "completed": True} for task in tasks[start : start + 100]]
        assert caller.post("/api/tasks/batch", json={"operations": operations}).status_code == 200
    return list_open(caller)


def list_open(caller: Caller) -> list[dict[str, Any]]:
    return read_tasks(caller.get("/api/tasks?status=pending"))


def read_events(file: str, number: int = LENGTH) -> dict[str, Any]:
    """Return the events of a file by their UID, as ical.js reads them."""
    install(PACKAGES)
    command = ["node", str(PACKAGES / "calendar" / "read.mjs"), str(number)]
    done = subprocess.run(command, input=file, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {event["uid"]: event for event in json.loads(done.stdout)["events"]}


def join_events(events: dict[str, Any], uid: str, kind: str) -> list[str]:
    """Return the occurrences or the alarms of a task."""
    found: list[str] = events[uid][kind] + events.get(f"{uid}-next", {kind: []})[kind]
    return found[:LENGTH]


def show(task: dict[str, Any], name: str) -> str | None:
    """Return a time of a task as ical.js shows it."""
    shown: str | None = task[name]
    return shown and shown.replace(".000000", "")


@needs_node
def test_a_calendar_repeats_tasks_on_the_days_of_the_service(alice: Caller) -> None:
    random = Random(7)
    tasks = list(write_recurring_tasks(random))
    for start in range(0, len(tasks), 100):
        operations = [{"op": "create", "task": task} for task in tasks[start : start + 100]]
        assert alice.post("/api/tasks/batch", json={"operations": operations}).status_code == 200
    for task in list_open(alice)[::4]:
        moved = datetime.fromisoformat(task["due_date"]) + timedelta(days=random.choice([-2, 1, 3]), minutes=30)
        due_date = moved.date() if len(task["due_date"]) == 10 else moved
        assert alice.patch(f"/api/tasks/{task['id']}", json={"due_date": due_date.isoformat()}).status_code == 200
    events = read_events(alice.get("/api/tasks/calendar.ics").text)
    current = list_open(alice)
    uids = {task["title"]: task["uid"] for task in current}
    days: dict[str, list[Any]] = {title: [] for title in uids}
    alarms: dict[str, list[Any]] = {title: [] for title in uids}
    for _ in range(LENGTH):
        for task in current:
            days[task["title"]].append(show(task, "due_date"))
            alarms[task["title"]] += filter(None, [show(task, "remind_at")])
        current = complete_all(alice, current)
    wrong = [
        (tasks[int(title)], kind, expected[title], found)
        for kind, expected in (("occurrences", days), ("alarms", alarms))
        for title, uid in uids.items()
        if (found := join_events(events, uid, kind)) != expected[title]
    ]
    assert wrong[:5] == []
    assert len(events) > len(uids) + 30


@needs_node
def test_every_time_zone_is_read_as_the_database_of_zones_has_it() -> None:
    """For YEARS, and where a change comes by a rule each year, also later."""
    random, year = Random(11), datetime.now(UTC).year
    lines, expected = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x"], {}
    for name in sorted({str(ZoneInfo(name)) for name in list_zones().values()}):
        written = write_time_zone(name, year - 1)
        lines += written
        has_rules = len(written) == 3 + 2 * 6
        last = year + (30 if has_rules else YEARS - 2)
        days = [date(year, 1, 1) + timedelta(days=random.randrange(365 * (last - year))) for _ in range(3)]
        times = [datetime.combine(day, datetime.min.time()) + NOON for day in days]
        changes = list(find_changes(ZoneInfo(name), datetime(year, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)))
        for change in random.sample(changes, min(3, len(changes))):
            # Half an hour before and after the local times that are skipped, or that come twice.
            jump = change.after - change.before
            times.append(change.local - timedelta(minutes=30) + min(jump, timedelta()))
            times.append(change.local + timedelta(minutes=30) + max(jump, timedelta()))
        for local in times:
            uid = f"{name} {local}"
            expected[uid] = f"{local.replace(tzinfo=ZoneInfo(name)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            lines += ["BEGIN:VEVENT", f"UID:{uid}", f"DTSTART;TZID={name}:{local:%Y%m%dT%H%M%S}", "END:VEVENT"]
    found = read_events(write_file([*lines, "END:VCALENDAR"]).decode())
    wrong = {uid: (at, found[uid]["occurrences"]) for uid, at in expected.items() if found[uid]["occurrences"] != [at]}
    assert len(expected) > 2500
    assert wrong == {}


def test_khal_imports_and_lists_the_tasks(alice: Caller, tmp_path: Path) -> None:
    weekly = {"rule": "FREQ=WEEKLY;UNTIL=20271105", "time_zone": "Europe/Berlin"}
    alice.add("Pay the rent", due_date="2027-10-31", recurrence={"rule": "FREQ=MONTHLY"}, tags=["home"])
    alice.add("Swim, then rest", due_date="2027-10-22T07:00:00Z", recurrence=weekly, remind_at="2027-10-22T06:00:00Z")
    alice.add("Call; Bob", due_date="2027-11-02T17:00:00+05:00", description="About\nthe boat")
    file = tmp_path / "tasks.ics"
    file.write_bytes(alice.get("/api/tasks/calendar.ics").data)
    (tmp_path / "calendar").mkdir()
    (tmp_path / "config").write_text(KHAL.format(folder=tmp_path))

    def khal(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "khal"), "-c", str(tmp_path / "config"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    khal("import", "--batch", "-a", "tasks", str(file))
    shown = khal("list", "--format", "{start-time} {title} {categories}", "2027-10-20", "45d")
    assert [line.strip() for line in shown.splitlines()] == [
        "Friday, 2027-10-22",
        "09:00 Swim, then rest",
        "Friday, 2027-10-29",
        "09:00 Swim, then rest",
        "Sunday, 2027-10-31",
        "Pay the rent home",
        "Tuesday, 2027-11-02",
        "13:00 Call; Bob",
        "Friday, 2027-11-05",
        "09:00 Swim, then rest",
        "Tuesday, 2027-11-30",
        "Pay the rent home",
    ]


def test_a_calendar_of_10_000_tasks_is_small_and_quick(alice: Caller, database: Database) -> None:
    database.run(
        "INSERT INTO todo.tasks (user_id, title, description, due_at, due_all_day, remind_at, recurrence, anchor)"
        " SELECT %s, 'Task ' || n, repeat('Ask for the price first. ', n %% 10), day - interval '1 microsecond', true,"
        " day, CASE WHEN n %% 2 = 0 THEN jsonb_build_object('rule', 'FREQ=WEEKLY;INTERVAL=2', 'from', 'due',"
        " 'time_zone', 'Europe/Berlin') END, DATE '2027-01-01'"
        " FROM generate_series(1, 10000) AS n,"
        " LATERAL (SELECT timestamptz '2027-01-01Z' + n * interval '1 day' AS day) AS days",
        (alice.user_id,),
    )
    alice.add()
    path = "/api/tasks/calendar.ics"
    times = {}
    for name, headers in (("first", {}), ("again", {}), ("known", {"If-None-Match": alice.get(path).headers["ETag"]})):
        started = time.perf_counter()
        response = alice.get(path, headers=headers)
        times[name] = time.perf_counter() - started
        if name == "again":
            print(f"\n{len(response.data)} bytes, {response.text.count('BEGIN:VEVENT')} events")
            assert len(response.data) < 2**20
    print(times)
    assert times["again"] < 1
    assert times["known"] < times["again"] / 3

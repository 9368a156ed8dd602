"""The examples of docs/recurring-tasks.md are what the service does."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.callers import Caller, read_task
from tests.support.databases import Database
from tests.support.documents import RULES, list_rows, read_page
from todo.tasks.recurrence.successors import write_successors

PAGE = "recurring-tasks.md"


def postpone(text: str) -> str:
    """Return a text with its dates 400 years later, when they have the same weekdays, and are in the future."""
    return re.sub(r"20(?=\d\d-?\d\d-?\d\d)", "24", text)


def add(caller: Caller, rule: str, due_date: str, time_zone: str | None = None) -> dict[str, Any]:
    recurrence = {"rule": postpone(rule), "time_zone": time_zone}
    return caller.add("x", due_date=postpone(due_date), recurrence=recurrence)


def follow(caller: Caller, task: dict[str, Any], number: int) -> list[str | None]:
    """Complete a task and those that follow it. Return the due dates of so many of these, None after the last one."""
    found: list[str | None] = []
    while len(found) < number:
        path = f"/api/tasks/{task['id']}"
        task = read_task(caller.patch(f"{path}/complete", json={"completed": True}))
        if task["next_id"] is None:
            return [*found, None]
        task = read_task(caller.get(f"/api/tasks/{task['next_id']}"))
        found.append(task["due_date"])
    return found


def test_a_completion_returns_the_shown_task(alice: Caller) -> None:
    [text] = re.findall(r"^```json\n(.*?)^```", read_page(PAGE), re.MULTILINE | re.DOTALL)
    shown = json.loads(postpone(text))
    task = add(alice, shown["recurrence"]["rule"], shown["due_date"])
    done = read_task(alice.patch(f"/api/tasks/{task['id']}", json={"title": shown["title"], "completed": True}))
    assert done["next_id"] > done["id"]
    assert {name: done[name] for name in shown} == shown | {"id": done["id"], "next_id": done["next_id"]}


@pytest.mark.parametrize(("_", "rule", "due_date", "days"), list_rows(PAGE, *RULES))
def test_each_rule_gives_the_shown_days(alice: Caller, _: str, rule: str, due_date: str, days: str) -> None:
    expected = [*postpone(days).split(", "), *([None] if "UNTIL" in rule else [])]
    assert follow(alice, add(alice, rule, due_date), len(expected)) == expected


@pytest.mark.parametrize(
    ("time_zone", "rule", "due_date", "times"), list_rows(PAGE, "`time_zone`", "`rule`", "due date", "next due dates")
)
def test_each_clock_gives_the_shown_times(alice: Caller, time_zone: str, rule: str, due_date: str, times: str) -> None:
    expected = [datetime.fromisoformat(time).astimezone(UTC) for time in postpone(times).split(", ")]
    found = follow(alice, add(alice, rule, due_date, time_zone), len(expected))
    assert [datetime.fromisoformat(str(time)) for time in found] == expected


@pytest.mark.parametrize(
    ("rule", "counted", "due_date", "completed", "following"),
    list_rows(PAGE, "`rule`", "`from`", "due date", "completed on", "next due date"),
)
def test_each_day_of_completion_gives_the_shown_day(
    database: Database, rule: str, counted: str, due_date: str, completed: str, following: str
) -> None:
    values = {
        "recurrence": "CAST(%(recurrence)s AS jsonb)",
        "due_all_day": "true",
        "due_at": "CAST(%(due_date)s || ' 23:59:59.999999Z' AS timestamptz)",
        "remind_at": "CAST(NULL AS timestamptz)",
        "anchor": "CAST(%(due_date)s || ' 23:59:59.999999' AS timestamp)",
        "now": "CAST(%(completed)s AS timestamptz)",
    }
    given = {
        "recurrence": json.dumps({"rule": rule, "from": counted, "time_zone": None}),
        "due_date": due_date,
        "completed": f"{completed}T12:00:00Z",
    }
    found = f"SELECT CAST(timezone('UTC', due_at) AS date) FROM ({write_successors(values, '')}) AS found"
    assert [str(day) for (day,) in database.run(found, given)] == [following.partition(":")[0]]


def test_a_new_time_of_day_stays(alice: Caller) -> None:
    task = add(alice, "FREQ=WEEKLY", "2027-01-07T08:00:00Z", "UTC")
    alice.patch(f"/api/tasks/{task['id']}", json={"due_date": postpone("2027-01-09T10:00:00Z")})
    assert follow(alice, task, 2) == [postpone(f"2027-01-{day}T10:00:00.000000Z") for day in (14, 21)]


def test_a_restored_task_continues_its_series(alice: Caller) -> None:
    task = add(alice, "FREQ=WEEKLY", "2027-01-07")
    alice.delete(f"/api/tasks/{task['id']}")
    task = read_task(alice.post(f"/api/trash/{task['id']}/restore"))
    assert follow(alice, task, 1) == [postpone("2027-01-14")]


def test_a_completed_task_gets_no_successor(alice: Caller) -> None:
    recurrence = {"rule": "FREQ=DAILY"}
    for fields in ({}, {"due_date": "2027-01-07", "recurrence": recurrence}):
        task = alice.add("x", completed=True, **fields)
        path = f"/api/tasks/{task['id']}"
        alice.patch(path, json={"due_date": "2027-01-07", "recurrence": recurrence})
        assert read_task(alice.patch(path, json={"completed": True}))["next_id"] is None
        alice.patch(path, json={"completed": False})
        assert read_task(alice.patch(path, json={"completed": True}))["next_id"]


@pytest.mark.parametrize(("column", "status"), [(0, 422), (1, 201)])
def test_what_was_left_out_is_refused_and_the_rest_works(alice: Caller, column: int, status: int) -> None:
    table = read_page(PAGE).partition("| not there | instead |")[2]
    cells = [line.split(" | ")[column] for line in table.splitlines() if " | " in line]
    rules = re.findall(r"`((?:FREQ|COUNT|BY[A-Z]+)=[^`]+)`", "\n".join(cells))
    assert len(rules) > 2
    for rule in rules:
        whole = rule if rule.startswith("FREQ") else f"FREQ=MONTHLY;{rule}"
        body = {"title": "x", "due_date": "2027-01-29", "recurrence": {"rule": whole}}
        assert alice.post("/api/tasks", json=body).status_code == status, rule

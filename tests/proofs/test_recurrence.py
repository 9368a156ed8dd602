"""PostgreSQL finds the same successors as dateutil and Python's time zones, and no rule is slow."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from tests.support.callers import Caller, read_problem, read_task, read_tasks
from tests.support.databases import Database, Run, Server
from tests.support.rules import (
    EPOCH,
    FIRST,
    HOUR,
    LAST,
    MICROSECOND,
    Completed,
    Draw,
    Successor,
    find_day,
    find_local,
    find_moment,
    find_next_day,
    find_start,
    write_case,
    write_micros,
    write_moment,
)
from todo.tasks.recurrence.rules import FREQUENCIES, MAX_RULE, PARTS, read_rule
from todo.tasks.recurrence.successors import write_successors
from todo.web.icalendar import WEEKDAYS

# Another seed draws other tasks. A longer run has more of them.
SEED = int(os.environ.get("RECURRENCE_SEED", "1"))
CASES = int(os.environ.get("RECURRENCE_CASES", "20000"))
HTTP_CASES = CASES // 100
REPEAT = f"To repeat: RECURRENCE_SEED={SEED} .venv/bin/pytest tests/proofs/test_recurrence.py"

GIVEN = {name: f"given.{name}" for name in ("n", "recurrence", "due_all_day", "due_at", "remind_at", "anchor", "now")}
SUCCESSORS = write_successors(
    GIVEN,
    "FROM json_to_recordset(%s) AS given (n integer, recurrence jsonb, due_all_day boolean, due_at timestamptz,"
    " remind_at timestamptz, anchor timestamp, now timestamptz)",
)
MICROS = "CAST(extract(epoch FROM {}) * 1000000 AS bigint)"
FIND = f"""
    SELECT n, {MICROS.format("due_at")}, {MICROS.format("remind_at")}, {MICROS.format("anchor")}
    FROM ({SUCCESSORS}) AS found
"""
STORED = f"""
    SELECT id, {MICROS.format("due_at")}, {MICROS.format("remind_at")}, {MICROS.format("anchor")}
    FROM todo.tasks WHERE user_id = %s AND recurrence IS NOT NULL
"""
LOCAL = f"SELECT {MICROS.format('timezone(%s, CAST(%s AS timestamptz))')}"


def find_successors(run: Run, cases: Sequence[Completed]) -> list[Successor | None]:
    """Return the successors that PostgreSQL finds."""
    found: dict[int, Successor] = {}
    for begin in range(0, len(cases), 5000):
        chunk = [write_case(begin + number, case) for number, case in enumerate(cases[begin : begin + 5000])]
        found |= {number: Successor(*columns) for number, *columns in run(FIND, (json.dumps(chunk),))}
    return [found.get(number) for number in range(len(cases))]


def has_other_clocks(run: Run, case: Completed, *successors: Successor | None) -> bool:
    """Return whether PostgreSQL's data of the time zone differ from Python's near one of the moments that count."""
    zone = case.place
    moments = {case.due, case.reminder, case.now}
    moments |= {moment for each in successors if each for moment in (each.due, each.reminder)}
    return any(
        run(LOCAL, (str(zone), write_moment(near))) != [(find_local(near, zone),)]
        for moment, hours in product(moments, (0, -2, 2))
        if moment is not None and FIRST <= (near := moment + hours * HOUR) <= LAST
    )


def test_successors_are_those_of_dateutil_and_zoneinfo(server: Server) -> None:
    draw = Draw(SEED)
    cases = [draw.completed() for _ in range(CASES)]
    with server.transaction() as run:
        run("SET jit = off; SET TimeZone = 'UTC'")
        found = find_successors(run, cases)
        expected = [case.find_successor() for case in cases]
        different = [each for each in zip(cases, expected, found, strict=True) if each[1] != each[2]]
        wrong = [each for each in different if not has_other_clocks(run, *each)]
    ended = found.count(None)
    print(f"\n{CASES} tasks, {ended} without a successor, {len(different)} whose time zones have other data")
    assert wrong[:3] == [], f"{len(wrong)} of {CASES}. {REPEAT}"
    # The databases of time zones have different releases, and some leave out what was before 1970.
    assert len(different) < CASES / 20
    assert CASES / 50 < ended < CASES / 5


SLOW = [
    "FREQ=WEEKLY;INTERVAL=52;BYDAY=MO,TU,WE,TH,FR,SA,SU",
    "FREQ=WEEKLY;INTERVAL=52;BYDAY=SU",
    "FREQ=YEARLY;INTERVAL=99",
    "FREQ=MONTHLY;INTERVAL=99;BYMONTHDAY=-1",
    "FREQ=MONTHLY;BYDAY=-1SU",
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=99;UNTIL=99991231",
    "FREQ=DAILY;UNTIL=00010101",
]


@pytest.mark.parametrize(
    ("anchor", "done"), [("0004-02-29", "9999-12-31"), ("2024-02-29", "2026-11-29"), ("9996-02-29", "0001-01-01")]
)
def test_every_rule_takes_less_than_ten_milliseconds(server: Server, anchor: str, done: str) -> None:
    due, now = (write_micros(datetime.fromisoformat(day)) for day in (anchor, done))
    took: list[float] = []
    with server.transaction() as run:
        run(f"PREPARE successors AS {SUCCESSORS % '$1'}")
        for rule, is_from_due, zone in product(SLOW, (True, False), ("UTC", "America/New_York")):
            case = Completed(rule, is_from_due, zone, False, due, due, due, now)
            for _ in range(3):
                [(plan,)] = run(
                    "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE successors (%s)", (json.dumps([write_case(0, case)]),)
                )
                took.append(plan[0]["Planning Time"] + plan[0]["Execution Time"])
    print(f"\n{sorted(took)[len(took) // 2]:.2f} ms, at most {max(took):.2f} ms")
    # The best of three, because other processes take the processor from time to time.
    assert max(min(took[begin : begin + 3]) for begin in range(0, len(took), 3)) < 10


WAYS: list[Callable[[Caller, dict[str, Any]], Any]] = [
    lambda caller, task: caller.patch(f"/api/tasks/{task['id']}/complete", json={"completed": True}).json,
    lambda caller, task: caller.post(f"/api/tasks/{task['uid']}/toggle").json,
    lambda caller, task: caller.patch(f"/api/tasks/{task['id']}", json={"completed": True, "title": "done"}).json,
    lambda caller, task: caller.put(f"/api/tasks/{task['uid']}", json={"completed": True, "tags": ["done"]}).json,
    lambda caller, task: execute(caller, {"op": "complete", "id": task["id"], "completed": True}),
    lambda caller, task: execute(caller, {"op": "update", "uid": task["uid"], "changes": {"completed": True}}),
]


def execute(caller: Caller, operation: dict[str, Any]) -> Any:
    """Execute a batch of this and another operation, and return its task."""
    operations = [{"op": "create", "task": {"title": "other"}}, operation]
    return caller.post("/api/tasks/batch", json={"operations": operations}).get_json()["tasks"][1]


def write_due(micros: int, all_day: bool) -> str:
    """Return a due date as responses have it."""
    return write_moment(micros)[:10] if all_day else write_time(micros)


def write_time(micros: int) -> str:
    return (EPOCH + micros * MICROSECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


def test_every_way_to_complete_a_task_adds_that_successor(database: Database, alice: Caller) -> None:
    draw, cases = Draw(SEED), list[tuple[Completed, int | None]]()
    for number in range(HTTP_CASES):
        drawn = draw.completed()
        # The task is due at the anchor when its rule is set, and is moved then, maybe to a whole day.
        all_day = drawn.all_day and (drawn.zone is None or number % 2 == 0)
        place = ZoneInfo("UTC") if all_day else drawn.place
        first = find_start(find_day(drawn.anchor) + 1) - 1 if all_day else find_moment(drawn.anchor, place)
        first = min(max(first, FIRST), LAST)
        anchor = min(max(find_local(first, place), FIRST), LAST)
        task = alice.add(
            due_date=write_due(first, all_day),
            remind_at=None if drawn.reminder is None else write_time(drawn.reminder),
            recurrence=write_case(0, drawn)["recurrence"],
        )
        moved = {"due_date": write_due(drawn.due, drawn.all_day)}
        task = read_task(alice.patch(f"/api/tasks/{task['id']}", json=moved))
        assert task["due_date"] == moved["due_date"]
        done = WAYS[number % len(WAYS)](alice, task)
        now = write_micros(datetime.fromisoformat(done["completed_at"]))
        cases.append((replace(drawn, anchor=anchor, now=now), done["next_id"]))
    rows = database.run(STORED, (alice.user_id,))
    stored = {row[0]: Successor(*row[1:]) for row in rows}
    found = [None if next_id is None else stored[next_id] for _, next_id in cases]
    expected = [case.find_successor() for case, _ in cases]
    with database.transaction() as run:
        run("SET TimeZone = 'UTC'")
        wrong = [
            each
            for each in zip(cases, expected, found, strict=True)
            if each[1] != each[2] and not has_other_clocks(run, each[0][0], *each[1:])
        ]
    assert wrong == [], REPEAT
    tasks = read_tasks(alice.get("/api/tasks?status=pending"))
    successors = [task for task in tasks if task["title"] != "other"]
    assert len(successors) == HTTP_CASES - found.count(None) > HTTP_CASES // 2


WORDS = [*FREQUENCIES, *WEEKDAYS, *PARTS, *"=;,01+-ıİ٣\0", "COUNT", "BYSETPOS", "HOURLY", "RRULE:", "20271231"]
DAYS = st.tuples(st.sampled_from(["", "", "", "1", "+2", "-1", "5"]), st.sampled_from(WEEKDAYS)).map("".join)
VALUES = {
    "FREQ": st.sampled_from([*FREQUENCIES, "HOURLY", ""]),
    "INTERVAL": st.integers(-1, 101).map(str),
    "BYDAY": st.lists(DAYS, min_size=1, max_size=3).map(",".join),
    "BYMONTHDAY": st.integers(-2, 32).map(str),
    "UNTIL": st.dates().map(lambda day: day.isoformat().replace("-", "")),
}
RULES = st.lists(st.sampled_from([*VALUES, "FREQ", "FREQ"]), max_size=4).flatmap(
    lambda names: st.tuples(*(st.builds(f"{name}={{}}".format, VALUES[name]) for name in names)).map(";".join)
)
TEXTS = st.one_of(
    RULES,
    st.lists(st.sampled_from(WORDS), max_size=40).map("".join),
    st.text("FREQ=DAILY;INTERVAL12,-", min_size=150, max_size=MAX_RULE),
    st.text(max_size=300),
)


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=SEED == 1,
    database=None,
)
@given(text=TEXTS)
def test_any_text_is_a_rule_or_refused_at_once(alice: Caller, text: str) -> None:
    started, rule = time.thread_time(), None
    with suppress(ValidationError):
        rule = read_rule(text)
    # The time of the processor, which others do not disturb.
    assert time.thread_time() - started < 0.01
    body = {"title": "x", "due_date": "2026-12-31", "recurrence": {"rule": text}}
    response = alice.post("/api/tasks", json=body)
    if rule is None or len(text) > MAX_RULE:
        read_problem(response, 422, "recurrence.rule")
        return
    assert read_task(response, 201)["recurrence"]["rule"] == rule
    assert read_rule(rule) == rule
    assert read_rule(f"rrule:{rule.lower()};") == rule
    # dateutil accepts it, too.
    assert find_next_day(rule, 740_000, 740_000) or "UNTIL" in rule

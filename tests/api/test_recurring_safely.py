"""Recurring tasks have one open occurrence, whatever is repeated, sent at once or lost; reopening undoes exactly."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise, product
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from config import Settings
from tests.support.callers import Caller, read_problem, read_task, read_tasks
from tests.support.databases import Database, closing_pool, wait_for_a_lock
from tests.support.feeds import Device
from tests.support.pages import read_changes
from tests.support.wire import Wire
from todo import create_app
from todo.errors import Full

END_ACTIVE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active'
      AND pid <> pg_backend_pid()
"""
TODAY = datetime.now(UTC).date()
THREADS = 20
# A write to a task, by a caller.
Write = Callable[[Caller, dict[str, Any]], TestResponse]


def set_completed(completed: bool) -> dict[str, Write]:
    """Return every way to complete or reopen a task that can be repeated."""
    body = {"completed": completed}
    return {
        "complete": lambda caller, task: caller.patch(f"/api/tasks/{task['id']}/complete", json=body),
        "change": lambda caller, task: caller.patch(f"/api/tasks/{task['uid']}", json=body),
        "put": lambda caller, task: caller.put(f"/api/tasks/{task['uid']}", json=body),
        "batch": lambda caller, task: execute(caller, {"op": "complete", "id": task["id"], **body}),
        "batch of changes": lambda caller, task: execute(caller, {"op": "update", "uid": task["uid"], "changes": body}),
    }


COMPLETIONS, REOPENINGS = set_completed(True), set_completed(False)


def execute(caller: Caller, *operations: dict[str, Any], **headers: str) -> TestResponse:
    return caller.post("/api/tasks/batch", json={"operations": operations}, headers=headers)


def toggle(caller: Caller, task: dict[str, Any]) -> TestResponse:
    return caller.post(f"/api/tasks/{task['id']}/toggle")


def add(caller: Caller, **fields: Any) -> dict[str, Any]:
    """Create a recurring task."""
    recurrence = {"rule": "FREQ=WEEKLY;BYDAY=MO,FR", "time_zone": "Europe/Berlin"}
    due = {"due_date": f"{TODAY}T12:00:00Z", "remind_at": f"{TODAY}T09:00:00Z"}
    return caller.add("Water the plants", **{**due, "recurrence": recurrence, "tags": ["Home"], **fields})


def complete(caller: Caller, task: dict[str, Any]) -> dict[str, Any]:
    """Complete a task, and return its successor."""
    done = read_task(COMPLETIONS["complete"](caller, task))
    return read_task(caller.get(f"/api/tasks/{done['next_id']}"))


def check_series(caller: Caller) -> dict[str, Any]:
    """Check that the only task that is not followed is open, and return it."""
    tasks = {task["id"]: task for task in read_tasks(caller.get("/api/tasks"))}
    [last] = [task for task in tasks.values() if not task["completed"]]
    followed = [task["next_id"] for task in tasks.values() if task["completed"]]
    assert sorted([*followed, min(tasks)]) == sorted(tasks)
    assert last["next_id"] is None
    assert caller.get("/api/trash").json == []
    return last


def read_all(app: Flask, database: Database, caller: Caller) -> list[Any]:
    """Return all that a user has, without versions and the times of changes."""
    exported = app.test_cli_runner().invoke(args=["user", "export", caller.user_id])
    assert exported.exit_code == 0, exported.output
    lists: list[Any] = [caller.get(f"/api/{path}").json for path in ("tasks", "tasks?sort=due_date", "trash")]
    lists += json.loads(exported.stdout)["tasks"], json.loads(exported.stdout)["trash"]
    shown = [[{**task, "etag": None, "updated_at": None} for task in each] for each in lists]
    rows = "SELECT to_jsonb(task) - 'version' - 'change' - 'updated_at' FROM todo.tasks AS task WHERE user_id = %s"
    return [shown, database.run(f"{rows} ORDER BY id", (caller.user_id,))]


@pytest.fixture
def threaded(settings: Settings, alice: Caller) -> Iterator[Callable[..., list[TestResponse]]]:
    """Send writes at the same moment, each by a client of Alice with its own connection."""
    with closing_pool(create_app(replace(settings, threads=THREADS))) as app, ThreadPoolExecutor(THREADS) as pool:
        callers = [Caller(app.test_client(), settings, alice.user_id) for _ in range(THREADS)]

        def send(task: dict[str, Any], *writes: Write) -> list[TestResponse]:
            waiting = [pool.submit(write, caller, task) for write, caller in zip(writes, callers, strict=False)]
            return [each.result() for each in waiting]

        yield send


@pytest.mark.parametrize("way", COMPLETIONS)
def test_completing_twice_adds_one_task(alice: Caller, way: str) -> None:
    task = add(alice)
    answers = [COMPLETIONS[way](alice, task).json for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert check_series(alice)["id"] == read_task(alice.get(f"/api/tasks/{task['id']}"))["next_id"]


def test_twenty_completions_at_once_add_one_task(alice: Caller, threaded: Callable[..., list[TestResponse]]) -> None:
    for _ in range(3):
        task = check_series(alice) if alice.titles() else add(alice)
        answers = threaded(task, *(list(COMPLETIONS.values()) * 4))
        assert {answer.status_code for answer in answers} == {200}
        assert check_series(alice)["id"] > task["id"]
        assert len({str(answer.json) for answer in answers}) <= 3


def test_mixed_completions_at_once_leave_one_open_task(
    alice: Caller, threaded: Callable[..., list[TestResponse]]
) -> None:
    random, task = Random(1), add(alice)
    ways = [toggle, *COMPLETIONS.values(), *REOPENINGS.values()]
    for _ in range(4):
        for answer in threaded(task, *random.choices(ways, k=THREADS)):
            assert answer.status_code == 200, answer.text
        last = check_series(alice)
        assert len(alice.titles()) == 1 + (last["id"] != task["id"])


@pytest.mark.parametrize("recurrence", [None, {"rule": "FREQ=YEARLY"}])
def test_completing_during_a_change_of_the_rule_is_consistent(
    alice: Caller, threaded: Callable[..., list[TestResponse]], recurrence: Any
) -> None:
    for way in COMPLETIONS.values():
        task = add(alice, due_date=str(TODAY), remind_at=None)
        change: Write = lambda caller, task: caller.patch(f"/api/tasks/{task['id']}", json={"recurrence": recurrence})  # noqa: E731
        assert {answer.status_code for answer in threaded(task, change, way, change, way)} == {200}
        task = read_task(alice.get(f"/api/tasks/{task['id']}"))
        following = [each for each in read_tasks(alice.get("/api/tasks")) if each["id"] > task["id"]]
        assert task["completed"] is True
        assert [each["id"] for each in following] == [task["next_id"]] * len(following)
        assert bool(task["next_id"]) == bool(following) or recurrence is None
        # The successor has the rule of its time.
        for each in following:
            assert each["recurrence"]["rule"] in {"FREQ=YEARLY", "FREQ=WEEKLY;BYDAY=MO,FR"}
            assert each["due_date"] != str(TODAY)


@pytest.mark.parametrize("way", COMPLETIONS)
def test_repeating_after_a_lost_answer_adds_one_task(database: Database, alice: Caller, way: str) -> None:
    with Wire(database.server.superuser_url) as wire:
        settings = wire.settings(database)
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings, alice.user_id)
            task = add(caller)
            for writes in (COMPLETIONS, REOPENINGS, COMPLETIONS):
                wire.lose_answers(1)
                read_problem(writes[way](caller, task), 503)
                stored = alice.get("/api/tasks").json
                assert writes[way](caller, task).status_code == 200
                assert alice.get("/api/tasks").json == stored
                assert check_series(alice)["id"] > task["id"] or writes is REOPENINGS


def test_a_batch_with_a_key_is_repeated_after_a_lost_answer(database: Database, alice: Caller) -> None:
    with Wire(database.server.superuser_url) as wire:
        settings = wire.settings(database)
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings, alice.user_id)
            task = add(caller)
            wire.lose_answers(1)
            operation = {"op": "complete", "id": task["id"], "completed": True}
            answer = execute(caller, operation, **{"Idempotency-Key": "key"})
    assert answer.status_code == 200
    [done] = answer.get_json()["tasks"]
    assert check_series(alice)["id"] == done["next_id"]


def test_a_connection_killed_before_the_commit_adds_nothing(database: Database, alice: Caller) -> None:
    task = add(alice)
    with ThreadPoolExecutor(1) as pool, database.transaction() as execute:
        execute("SELECT FROM todo.feeds WHERE user_id = %s FOR UPDATE", (alice.user_id,))
        waiting = pool.submit(COMPLETIONS["complete"], alice, task)
        wait_for_a_lock(execute)
        database.run(END_ACTIVE)
        read_problem(waiting.result(timeout=10), 503)
    assert check_series(alice) == task
    complete(alice, task)
    check_series(alice)


def test_a_repeated_batch_with_a_key_adds_one_task(alice: Caller) -> None:
    task = add(alice)
    operation = {"op": "complete", "id": task["id"], "completed": True}
    first, second = (execute(alice, operation, **{"Idempotency-Key": "key"}) for _ in range(2))
    assert first.json == second.json
    assert second.headers["Idempotent-Replayed"] == "true"
    check_series(alice)
    # The repetition of an old batch does not complete a task that was reopened since.
    assert REOPENINGS["complete"](alice, task).status_code == 200
    replayed: Any = execute(alice, operation, **{"Idempotency-Key": "key"}).json
    assert [each["completed"] for each in replayed["tasks"]] == [False]
    assert check_series(alice)["id"] == task["id"]


@pytest.mark.parametrize(("to", "fro"), [*pairwise([*COMPLETIONS, "complete"])])
def test_reopening_undoes_a_completion_exactly(
    app: Flask, database: Database, alice: Caller, to: str, fro: str
) -> None:
    alice.delete(f"/api/tasks/{alice.add('in the trash')['id']}")
    other, task = add(alice), add(alice, description="All", priority="high")
    complete(alice, other)
    before, device = read_all(app, database, alice), Device(alice)
    device.sync()
    for _ in range(2):
        assert COMPLETIONS[to](alice, task).status_code == 200
        assert len(alice.titles()) == 4
        device.sync()
        assert device.copy == {each["id"]: each for each in read_tasks(alice.get("/api/tasks"))}
        assert REOPENINGS[fro](alice, task).status_code == 200
        assert read_all(app, database, alice) == before
        assert [change["deleted"] for change in device.sync()] == [False, True]
        assert device.copy == {each["id"]: each for each in read_tasks(alice.get("/api/tasks"))}


def change_with(body: dict[str, Any]) -> dict[str, Write]:
    """Return every way to change fields."""
    return {
        "change": lambda caller, task: caller.patch(f"/api/tasks/{task['id']}", json=body),
        "put": lambda caller, task: caller.put(f"/api/tasks/{task['uid']}", json=body),
        "batch of changes": lambda caller, task: execute(caller, {"op": "update", "id": task["id"], "changes": body}),
    }


def touch_twice(caller: Caller, task: dict[str, Any]) -> TestResponse:
    toggle(caller, task)
    return toggle(caller, task)


def delete_and_restore(caller: Caller, task: dict[str, Any]) -> TestResponse:
    caller.delete(f"/api/tasks/{task['id']}")
    return caller.post(f"/api/trash/{task['id']}/restore")


FIELDS: dict[str, Any] = {
    "title": "Mine", "description": "Mine", "priority": "low", "tags": [], "due_date": "2030-01-01", "remind_at": None,
    "recurrence": None,
}  # fmt: skip
TOUCHES: dict[str, Write] = {
    **{f"{name}, {way}": write for name, value in FIELDS.items() for way, write in change_with({name: value}).items()},
    **COMPLETIONS,
    "two toggles": touch_twice,
    "deletion and restoration": delete_and_restore,
}


@pytest.mark.parametrize(("number", "touch"), [*enumerate(TOUCHES)])
def test_reopening_keeps_a_successor_that_somebody_touched(alice: Caller, number: int, touch: str) -> None:
    task = add(alice)
    successor = complete(alice, task)
    touched = TOUCHES[touch](alice, successor)
    assert touched.status_code == 200, touched.text
    kept = read_task(alice.get(f"/api/tasks/{successor['id']}"))
    titles, way = alice.titles(), list(COMPLETIONS)[number % len(COMPLETIONS)]
    for write in (REOPENINGS[way], COMPLETIONS[way], REOPENINGS[way]):
        assert write(alice, task).status_code == 200
        # Completing again adds no second one.
        assert read_task(alice.get(f"/api/tasks/{task['id']}"))["next_id"] == successor["id"]
        assert read_task(alice.get(f"/api/tasks/{successor['id']}")) == kept
        assert alice.titles() == titles


@pytest.mark.parametrize("is_touched", [False, True])
def test_a_batch_reopens_a_task_and_changes_its_successor(alice: Caller, is_touched: bool) -> None:
    changes: list[tuple[dict[str, Any], bool]] = [
        ({"op": "update", "changes": {"title": "Mine"}}, True),
        ({"op": "complete", "completed": True}, True),
        ({"op": "delete"}, False),
    ]
    for (change, stays), is_first in product(changes, (False, True)):
        task = add(alice)
        successor = complete(alice, task)
        if is_touched:
            alice.patch(f"/api/tasks/{successor['id']}", json={"description": "Mine"})
        operations = [{"op": "complete", "id": task["id"], "completed": False}, {**change, "id": successor["id"]}]
        response = execute(alice, *(operations if is_first else operations[::-1]))
        assert response.status_code == 200, response.text
        reopened = read_task(alice.get(f"/api/tasks/{task['id']}"))
        assert (reopened["completed"], reopened["next_id"]) == (False, successor["id"] if stays else None)
        assert alice.get(f"/api/tasks/{successor['id']}").status_code == (200 if stays else 404)
        assert len(alice.get("/api/trash").get_json()) == (0 if stays else 1)
        again = complete(alice, task)
        assert (again["id"] == successor["id"]) == stays
        alice.delete("/api/trash")


def test_a_touch_during_the_reopening_is_kept_or_404(
    alice: Caller, threaded: Callable[..., list[TestResponse]]
) -> None:
    outcomes, random = set[int](), Random(1)
    touches: list[Callable[[int], Write]] = [
        lambda number: lambda caller, _: caller.patch(f"/api/tasks/{number}", json={"title": "Mine"}),
        lambda number: lambda caller, _: execute(caller, {"op": "update", "id": number, "changes": {"title": "Mine"}}),
        lambda number: lambda caller, _: caller.patch(f"/api/tasks/{number}/complete", json={"completed": True}),
    ]
    for touch, reopening in product(touches, REOPENINGS.values()):
        task = add(alice)
        successor = complete(alice, task)
        writes = [touch(successor["id"]), reopening]
        random.shuffle(writes)
        answers = threaded(task, *writes)
        touched = answers[writes.index(reopening) - 1]
        assert answers[writes.index(reopening)].status_code == 200
        outcomes.add(touched.status_code)
        kept = alice.get(f"/api/tasks/{successor['id']}")
        assert kept.status_code == touched.status_code
        next_id = read_task(alice.get(f"/api/tasks/{task['id']}"))["next_id"]
        assert next_id == (successor["id"] if touched.status_code == 200 else None)
    assert outcomes <= {200, 404}


def make_limited(database: Database, most: int | None) -> Flask:
    return create_app(database.settings(max_tasks=most))


@pytest.mark.parametrize("way", [*COMPLETIONS, "toggle"])
def test_a_successor_over_the_limit_is_403(database: Database, way: str) -> None:
    write = COMPLETIONS.get(way, toggle)
    with closing_pool(make_limited(database, 2)) as app:
        alice = Caller(app.test_client(), app.extensions["settings"])
        other, task = alice.add("other"), add(alice)
        before = [alice.get("/api/tasks").json, read_all(app, database, alice)]
        problem = read_problem(write(alice, task), 403)
        assert problem["detail"] == Full.sentence
        assert [alice.get("/api/tasks").json, read_all(app, database, alice)] == before
        # What needs no successor, or makes room, is done.
        assert COMPLETIONS[way](alice, other).status_code == 200 if way != "toggle" else True
        ended = read_task(alice.patch(f"/api/tasks/{task['id']}", json={"completed": True, "recurrence": None}))
        assert (ended["completed"], ended["next_id"]) == (True, None)
        task = read_task(
            alice.patch(f"/api/tasks/{task['id']}", json={"completed": False, "recurrence": task["recurrence"]})
        )
        alice.delete(f"/api/tasks/{other['id']}")
        assert write(alice, task).status_code == 200
        assert REOPENINGS.get(way, toggle)(alice, task).status_code == 200
        assert len(alice.titles()) == 1


def test_a_batch_of_successors_over_the_limit_writes_nothing(database: Database) -> None:
    with closing_pool(make_limited(database, 4)) as app:
        alice = Caller(app.test_client(), app.extensions["settings"])
        tasks = [add(alice) for _ in range(2)]
        other = alice.add("other")
        completions = [{"op": "complete", "id": task["id"], "completed": True} for task in tasks]
        before = read_all(app, database, alice)
        for key in ({}, {"Idempotency-Key": "key"}):
            read_problem(execute(alice, *completions, **key), 403)
            read_problem(execute(alice, completions[0], {"op": "create", "task": {"title": "x"}}, **key), 403)
            assert read_all(app, database, alice) == before
        # A deletion makes room.
        assert execute(alice, *completions, {"op": "delete", "id": other["id"]}).status_code == 200
        assert len(alice.titles()) == 4


@pytest.mark.parametrize("way", COMPLETIONS)
def test_repeated_reopening_does_not_fill_the_trash(database: Database, way: str) -> None:
    with closing_pool(make_limited(database, 3)) as app:
        alice = Caller(app.test_client(), app.extensions["settings"])
        task = add(alice)
        for write in [COMPLETIONS[way], REOPENINGS[way]] * 12:
            assert write(alice, task).status_code == 200
        assert check_series(alice)["id"] == task["id"]
        [(rows,)] = database.run("SELECT count(*) FROM todo.trash WHERE user_id = %s", (alice.user_id,))
        assert rows <= 6


def test_reopening_leaves_the_trash_and_cursors_alone(database: Database) -> None:
    for most in (None, 5):
        with closing_pool(make_limited(database, most)) as app:
            alice = Caller(app.test_client(), app.extensions["settings"])
            for _ in range(3):
                alice.delete(f"/api/tasks/{alice.add()['id']}")
            task, trash = add(alice), alice.get("/api/trash").json
            _, cursor = read_changes(alice)
            for _ in range(2 if most else 20):
                for write in (COMPLETIONS["complete"], REOPENINGS["complete"]):
                    assert write(alice, task).status_code == 200
            assert alice.get("/api/trash").json == trash
            changes, cursor = read_changes(alice, cursor)
            assert len([each for each in changes if each["deleted"]]) == (2 if most else 20)
            # Emptying the trash removes what is listed there; without it, no cursor expires.
            assert alice.delete("/api/trash").status_code == 204
            assert alice.delete("/api/trash").status_code == 204
            _, cursor = read_changes(alice)
            complete(alice, task)
            assert REOPENINGS["complete"](alice, task).status_code == 200
            assert alice.delete("/api/trash").status_code == 204
            assert len(read_changes(alice, cursor)[0]) == 2


@pytest.mark.parametrize("way", ["change", "put", "batch of changes"])
def test_changing_a_completed_task_adds_no_successor(alice: Caller, way: str) -> None:
    for number, task in enumerate((add(alice, completed=True), alice.add("other", completed=True))):
        changes = {"completed": True, "title": way, "recurrence": {"rule": "FREQ=DAILY"}, "due_date": str(TODAY)}
        changed = change_with(changes)[way](alice, task)
        assert changed.status_code == 200, changed.text
        assert read_task(alice.get(f"/api/tasks/{task['id']}"))["next_id"] is None
        assert len(alice.titles()) == 2, number


def test_a_removed_successor_cannot_be_restored(alice: Caller) -> None:
    task = add(alice)
    successor = complete(alice, task)
    assert toggle(alice, task).status_code == 200
    for name in ("id", "uid"):
        read_problem(alice.post(f"/api/trash/{successor[name]}/restore"), 404)
        read_problem(alice.delete(f"/api/trash/{successor[name]}"), 404)
    # Nobody deleted it, so its UID is free.
    assert alice.put(f"/api/tasks/{successor['uid']}", json={"title": "new"}).status_code == 201
    assert alice.put(f"/api/tasks/{uuid4()}", json={"title": "new"}).status_code == 201


@pytest.mark.parametrize(
    ("due", "remind_at", "counts_from", "time_zone"),
    [
        ("9999-12-31", "0001-01-01T00:00:00Z", "completion", None),
        ("2030-12-31", "0001-01-01T00:00:00Z", "completion", "Pacific/Kiritimati"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "due", "America/New_York"),
        ("9999-12-31T23:00:00Z", "9999-12-31T23:00:00Z", "due", "Asia/Tokyo"),
        ("9999-12-31", "9999-12-31T23:00:00Z", "due", "Asia/Tokyo"),
        ("0001-01-01", "9999-12-31T23:00:00Z", "due", None),
    ],
)
def test_tasks_at_the_ends_of_the_calendar_can_be_completed(
    app: Flask, database: Database, alice: Caller, due: str, remind_at: str, counts_from: str, time_zone: str | None
) -> None:
    recurrence = {"rule": "FREQ=MONTHLY", "from": counts_from, "time_zone": time_zone}
    task = add(alice, due_date=due, remind_at=remind_at, recurrence=recurrence)
    assert COMPLETIONS["complete"](alice, task).status_code == 200
    assert len(alice.titles()) == (1 if ("9999" in due and counts_from == "due") or "9999" in remind_at else 2)
    shown, _ = read_all(app, database, alice)
    exported = shown[3]
    assert len(exported) == len(alice.titles())


def test_a_task_moved_to_a_whole_day_recurs_on_whole_days(alice: Caller) -> None:
    recurrence = {"rule": "FREQ=DAILY", "time_zone": "America/New_York"}
    # The same moment ends a whole day.
    task = add(alice, due_date="2040-12-31T23:59:59.999999Z", recurrence=recurrence)
    assert alice.patch(f"/api/tasks/{task['id']}", json={"due_date": "2040-12-31"}).status_code == 200
    assert complete(alice, task)["due_date"] == "2041-01-01"


def test_reopening_removes_no_listed_task_from_a_full_trash(database: Database) -> None:
    with closing_pool(make_limited(database, 4)) as app:
        alice = Caller(app.test_client(), app.extensions["settings"])
        for _ in range(4):
            alice.delete(f"/api/tasks/{alice.add()['id']}")
        trash, task, plain = alice.get("/api/trash").json, add(alice), alice.add(completed=True)
        assert len(trash or []) == 4
        reopened = [{"op": "complete", "id": each["id"], "completed": False} for each in (task, plain)]
        for _ in range(2):
            complete(alice, task)
            assert alice.post("/api/tasks/batch", json={"operations": reopened}).status_code == 200
            complete(alice, task)
            assert REOPENINGS["complete"](alice, task).status_code == 200
        assert alice.get("/api/trash").json == trash

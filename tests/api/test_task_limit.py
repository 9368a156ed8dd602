"""MAX_TASKS: a user who has that many tasks cannot create more."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from tests.support.callers import Caller, read_problem, read_task
from tests.support.commands import invoke
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.wire import Wire
from todo import create_app
from todo.errors import Full

MakeCaller = Callable[[], Caller]


@pytest.fixture
def limited(database: Database) -> Iterator[Callable[[int], Caller]]:
    """Make a caller of an application with a limit."""
    with ExitStack() as stack:

        def make(most: int) -> Caller:
            settings = database.settings(max_tasks=most)
            app = stack.enter_context(closing_pool(create_app(settings)))
            return Caller(app.test_client(), settings)

        yield make


def list_trash(caller: Caller) -> list[str]:
    """Return the titles of the tasks in the trash, the last deleted first."""
    found: list[dict[str, str]] = caller.get("/api/trash").get_json()
    return [task["title"] for task in found]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "another"}])
def test_creations_over_the_limit_are_403(limited: Callable[[int], Caller], headers: dict[str, str]) -> None:
    alice = limited(2)
    first = alice.add("first")
    read_task(alice.post("/api/tasks", json={"title": "second"}, headers={"Idempotency-Key": "key"}), 201)
    problem = read_problem(alice.post("/api/tasks", json={"title": "third"}, headers=headers), 403)
    assert problem["detail"] == Full.sentence
    assert alice.titles() == ["second", "first"]
    alice.delete(f"/api/tasks/{first['id']}")
    read_task(alice.post("/api/tasks", json={"title": "third"}, headers=headers), 201)


def test_a_retried_creation_is_replayed_at_the_limit(limited: Callable[[int], Caller]) -> None:
    alice = limited(1)
    headers = {"Idempotency-Key": "key"}
    task = read_task(alice.post("/api/tasks", json={"title": "only"}, headers=headers), 201)
    again = alice.post("/api/tasks", json={"title": "only"}, headers=headers)
    assert read_task(again, 201) == task
    assert again.headers["Idempotent-Replayed"] == "true"
    read_problem(alice.post("/api/tasks", json={"title": "x"}, headers=headers), 422, "Idempotency-Key")


def test_a_new_uid_over_the_limit_is_403(limited: Callable[[int], Caller]) -> None:
    alice = limited(1)
    path = f"/api/tasks/{uuid4()}"
    read_task(alice.put(path, json={"title": "only"}), 201)
    assert read_problem(alice.put(f"/api/tasks/{uuid4()}", json={"title": "more"}), 403)["detail"] == Full.sentence
    read_task(alice.put(path, json={"title": "changed"}))
    assert alice.titles() == ["changed"]


def test_a_task_is_restored_only_if_there_is_room(limited: Callable[[int], Caller]) -> None:
    alice = limited(1)
    first = alice.add("first")
    alice.delete(f"/api/tasks/{first['id']}")
    second = alice.add("second")
    assert read_problem(alice.post(f"/api/trash/{first['id']}/restore"), 403)["detail"] == Full.sentence
    assert list_trash(alice) == ["first"]
    alice.delete(f"/api/tasks/{second['id']}")
    read_problem(alice.post(f"/api/trash/{first['id']}/restore"), 404)
    read_task(alice.post(f"/api/trash/{second['id']}/restore"))


def test_the_trash_has_no_more_tasks_than_the_limit(limited: Callable[[int], Caller]) -> None:
    alice = limited(3)
    for number in range(8):
        alice.delete(f"/api/tasks/{alice.add(str(number))['id']}")
    titles = list_trash(alice)
    assert titles == ["7", "6", "5"][: len(titles)]
    assert len(titles) >= 2


def test_a_refused_deletion_removes_nothing_from_the_trash(limited: Callable[[int], Caller]) -> None:
    alice = limited(2)
    for title in ("first", "second"):
        alice.delete(f"/api/tasks/{alice.add(title)['id']}")
    kept = alice.add("kept")
    assert alice.delete("/api/tasks/1000000000").status_code == 404
    assert alice.delete(f"/api/tasks/{kept['id']}", headers={"If-Match": '"1.1"'}).status_code == 412
    assert list_trash(alice) == ["second", "first"]


def test_other_users_do_not_count(limited: Callable[[int], Caller], bob: Caller) -> None:
    for _ in range(3):
        bob.add()
    limited(1).add()


def test_a_limited_creation_takes_one_round_trip(database: Database) -> None:
    with Wire(database.server.superuser_url) as wire:
        settings = wire.settings(database)
        settings = database.settings(max_tasks=3, database_url=settings.database_url)
        with closing_pool(create_app(settings)) as app:
            alice = Caller(app.test_client(), settings)
            alice.add()
            for headers in ({}, {"Idempotency-Key": "key"}, {}):
                wire.messages.clear()
                alice.post("/api/tasks", json={"title": "x"}, headers=headers)
                assert len(wire.messages) == 1


@pytest.mark.parametrize(("most", "number", "options", "said"), [
    (3, 3, [], "Imported 3 tasks.\n"),
    (2, 3, [], "Error: {} would have more tasks than MAX_TASKS allows.\n"),
    (3, 3, ["--add"], "Error: {} would have more tasks than MAX_TASKS allows.\n"),
    (4, 3, ["--add"], "Imported 3 tasks.\n"),
    (4, 3, [], "Error: {} has tasks already; --add puts these beside them.\n"),
])  # fmt: skip
def test_an_import_over_the_limit_is_refused(
    database: Database, alice: Caller, most: int, number: int, options: list[str], said: str
) -> None:
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "MAX_TASKS": str(most)}
    times = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z") | {"completed_at": None}
    tasks = json.dumps({"tasks": [{"title": f"{each}", **times} for each in range(number)]})
    if options or "already" in said:
        alice.add()
    result = invoke("user", "import", alice.user_id, "-", *options, settings=settings, answer=tasks)
    assert result.stderr == said.format(alice.user_id)
    expected = number if said.startswith("Imported") else 0
    assert len(alice.titles()) == expected + bool(options or "already" in said)

"""PUT and PATCH /api/tasks/{id}: both change only the fields that are sent."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from flask import Flask

from config import Settings
from tests.support.callers import Caller, read_problem, read_task
from tests.support.databases import Database, wait_for_a_lock
from todo.tasks.resource import TASKS

pytestmark = pytest.mark.parametrize("method", ["PUT", "PATCH"])


def test_a_change_keeps_the_other_fields(alice: Caller, method: str) -> None:
    task = alice.add("old", description="keep me", completed=True)
    changed = read_task(alice.call(method, f"/api/tasks/{task['id']}", json={"title": " new "}))
    assert changed["updated_at"] > task["updated_at"]
    assert changed == task | {"title": "new"} | {name: changed[name] for name in ("updated_at", "etag")}


def test_null_clears_the_description(alice: Caller, method: str) -> None:
    task = alice.add(description="gone soon")
    assert read_task(alice.call(method, f"/api/tasks/{task['id']}", json={"description": None}))["description"] is None


@pytest.mark.parametrize("body", [{}, None])
def test_an_empty_body_changes_nothing(alice: Caller, method: str, body: object) -> None:
    task = alice.add()
    response = (
        alice.call(method, f"/api/tasks/{task['id']}", json=body)
        if body is not None
        else alice.call(method, f"/api/tasks/{task['id']}", content_type="application/json")
    )
    assert read_task(response) == task
    assert response.headers["ETag"] == task["etag"]


@pytest.mark.parametrize(
    "body", [{"is_completed": True}, {"id": 5}, {"status": "completed", "user_id": "mallory"}, {"": 1}]
)
def test_a_body_without_known_fields_is_refused(alice: Caller, method: str, body: dict[str, object]) -> None:
    task = alice.add()
    problem = read_problem(alice.call(method, f"/api/tasks/{task['id']}", json=body), 422, *body)
    fields = ", ".join(TASKS.requests)
    assert all(
        messages == [f"Cannot be set here; fields that can: {fields}."] for messages in problem["errors"].values()
    )
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


def test_an_unknown_field_that_is_no_text_is_refused(alice: Caller, method: str) -> None:
    """A lone surrogate can be written in JSON, but not in a response."""
    path = f"/api/tasks/{alice.add()['id']}"
    response = alice.call(method, path, data='{"\\ud800": 1}', content_type="application/json")
    read_problem(response, 422, "\\ud800")


def test_an_error_names_a_limited_number_of_unknown_fields(alice: Caller, method: str) -> None:
    body = {f"x{number}": 1 for number in range(1000)}
    response = alice.call(method, f"/api/tasks/{alice.add()['id']}", json=body)
    assert response.status_code == 422
    assert len(response.json["errors"]) == 20  # type: ignore[index]


def test_a_repeated_change_has_one_effect(alice: Caller, method: str) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    body = {"title": "new", "description": "text", "completed": True}
    first, second = alice.call(method, path, json=body), alice.call(method, path, json=body)
    assert first.json == second.json
    assert first.headers["ETag"] == second.headers["ETag"]


def test_every_change_makes_a_new_version(alice: Caller, method: str) -> None:
    path = f"/api/tasks/{alice.add('a')['id']}"
    tags = [alice.call(method, path, json={"title": title}).headers["ETag"] for title in "baba"]
    assert len(set(tags)) == 4


def test_a_fetched_task_can_be_sent_back(alice: Caller, method: str) -> None:
    task = alice.add(description="text", completed=True)
    assert read_task(alice.call(method, f"/api/tasks/{task['id']}", json=task)) == task


def test_completed_at_changes_only_with_completed(alice: Caller, method: str) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    done = read_task(alice.call(method, path, json={"completed": True}))
    assert done["completed_at"] is not None
    still_done = read_task(alice.call(method, path, json={"completed": True, "title": "other"}))
    assert still_done["completed_at"] == done["completed_at"]
    reopened = read_task(alice.call(method, path, json={"completed": False}))
    assert (reopened["completed"], reopened["completed_at"]) == (False, None)


@pytest.mark.parametrize("member", ["title", "completed"])
def test_null_is_refused_for_required_fields(alice: Caller, method: str, member: str) -> None:
    task = alice.add()
    read_problem(alice.call(method, f"/api/tasks/{task['id']}", json={member: None}), 422, member)
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


def test_a_refused_change_changes_nothing(alice: Caller, method: str) -> None:
    task = alice.add()
    body = {"description": "fine", "title": "x" * 201}
    read_problem(alice.call(method, f"/api/tasks/{task['id']}", json=body), 422, "title")
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


def test_another_users_task_is_404_even_for_an_empty_change(alice: Caller, bob: Caller, method: str) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    for body in ({"title": "stolen"}, {}):
        read_problem(bob.call(method, path, json=body), 404)


def test_a_change_that_another_request_just_made_returns_the_task(
    database: Database, alice: Caller, method: str
) -> None:
    task = alice.add("old")
    with ThreadPoolExecutor(1) as pool, database.transaction() as execute:
        execute("UPDATE todo.tasks SET title = 'new', version = 7 WHERE id = %s", (task["id"],))
        waiting = pool.submit(alice.call, method, f"/api/tasks/{task['id']}", json={"title": "new"})
        wait_for_a_lock(execute)
    response = waiting.result(timeout=10)
    assert read_task(response)["title"] == "new"
    assert response.headers["ETag"] == f'"{task["id"]}.7"'


def test_updated_at_follows_the_order_of_commits(database: Database, alice: Caller, method: str) -> None:
    task = alice.add("old")
    change = "UPDATE todo.tasks SET updated_at = statement_timestamp() WHERE id = %s RETURNING updated_at"
    with ThreadPoolExecutor(1) as pool, database.transaction() as execute:
        execute(change, (task["id"],))
        waiting = pool.submit(alice.call, method, f"/api/tasks/{task['id']}", json={"title": "new"})
        wait_for_a_lock(execute)
        [(first,)] = execute(change, (task["id"],))
    later = read_task(waiting.result(timeout=10))
    assert datetime.fromisoformat(later["updated_at"]) > first


def test_concurrent_changes_of_different_fields_are_both_kept(app: Flask, settings: Settings, method: str) -> None:
    callers = [Caller(app.test_client(), settings, "two-tabs") for _ in range(2)]
    path = f"/api/tasks/{callers[0].add()['id']}"
    bodies: list[dict[str, object]] = [{"title": "new"}, {"completed": True}]
    for _ in range(20):
        callers[0].call(method, path, json={"title": "old", "completed": False})
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda caller, body: caller.call(method, path, json=body), callers, bodies))
        task = read_task(callers[0].get(path))
        assert (task["title"], task["completed"]) == ("new", True)

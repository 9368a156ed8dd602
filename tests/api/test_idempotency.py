"""POST /api/tasks with an Idempotency-Key: a repeated request creates one task."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from config import Settings
from tests.support.callers import Caller, read_problem, read_task, read_tasks
from tests.support.databases import Database

BODY = {"title": "Buy milk", "tags": ["home"], "due_date": "2026-12-31", "completed": True}


def create(caller: Caller, key: str, **body: object) -> TestResponse:
    return caller.post("/api/tasks", json=body or BODY, headers={"Idempotency-Key": key})


def test_the_first_request_creates_a_task(alice: Caller) -> None:
    response = create(alice, "a key")
    task = read_task(response, 201)
    assert {name: task[name] for name in BODY} == BODY
    assert task["completed_at"] == task["created_at"] == task["updated_at"]
    assert response.headers["Location"] == f"http://localhost/api/tasks/{task['id']}"
    assert response.headers["ETag"] == task["etag"] == f'"{task["id"]}.1"'
    assert "Idempotent-Replayed" not in response.headers
    assert read_task(alice.get(response.headers["Location"])) == task


def test_a_repeat_returns_the_current_task(alice: Caller) -> None:
    task = read_task(create(alice, "again"), 201)
    repeated = create(alice, "again")
    assert read_task(repeated, 201) == task
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert repeated.headers["Location"] == f"http://localhost/api/tasks/{task['id']}"
    alice.patch(f"/api/tasks/{task['id']}", json={"title": "new"})
    again = create(alice, "again")
    assert (read_task(again, 201)["title"], again.headers["ETag"]) == ("new", f'"{task["id"]}.2"')
    assert len(read_tasks(alice.get("/api/tasks"))) == 1


def test_ignored_fields_do_not_change_the_request(alice: Caller) -> None:
    first = create(alice, "x", title=" a ", description=None)
    second = create(alice, "x", description=None, title="a", color="red")
    assert first.json == second.json


def test_a_reused_key_with_another_body_is_refused(alice: Caller) -> None:
    create(alice, "x", title="a")
    for body in ({"title": "b"}, {"title": "a", "completed": True}, {"title": "a", "due_date": "2026-12-31"}):
        problem = read_problem(create(alice, "x", **body), 422, "Idempotency-Key")
        assert "another body" in problem["detail"]
    assert alice.titles() == ["a"]


def test_a_refused_request_does_not_use_up_the_key(alice: Caller) -> None:
    read_problem(create(alice, "x", title=""), 422, "title")
    read_task(create(alice, "x", title="a"), 201)


def test_a_key_whose_task_was_deleted_is_409(alice: Caller) -> None:
    task = read_task(create(alice, "x"), 201)
    alice.delete(f"/api/tasks/{task['id']}")
    read_problem(create(alice, "x"), 409)
    assert alice.titles() == []


def test_keys_belong_to_one_user(alice: Caller, bob: Caller) -> None:
    tasks = [read_task(create(caller, "same"), 201) for caller in (alice, bob)]
    assert [task["user_id"] for task in tasks] == [alice.user_id, bob.user_id]
    assert create(bob, "same").json == tasks[1]


@pytest.mark.parametrize("key", ["k", "k" * 255, "550e8400-e29b-41d4-a716-446655440000", "a b", "'\"%s%(x)s:owner;\\"])
def test_any_printable_ascii_is_a_key(alice: Caller, key: str) -> None:
    assert create(alice, key).json == create(alice, key).json


@pytest.mark.parametrize("key", ["", "k" * 256, "é", "a\tb", "\x7f"])
def test_other_keys_are_400(alice: Caller, key: str) -> None:
    assert "Idempotency-Key" in read_problem(create(alice, key), 400)["detail"]
    assert alice.titles() == []


def test_twenty_concurrent_requests_create_one_task(app: Flask, settings: Settings, alice: Caller) -> None:
    callers = [Caller(app.test_client(), settings, alice.user_id) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda caller: create(caller, "at once"), callers))
    assert len({read_task(response, 201)["id"] for response in responses}) == 1
    assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1
    assert len(read_tasks(alice.get("/api/tasks"))) == 1


def test_keys_expire_after_a_day(alice: Caller, database: Database) -> None:
    def age(hours: float) -> None:
        database.run(
            "UPDATE todo.idempotency_keys SET created_at = now() - %s * interval '1 hour' WHERE user_id = %s",
            (hours, alice.user_id),
        )

    first = read_task(create(alice, "x"), 201)
    age(23.9)
    assert read_task(create(alice, "x"), 201) == first
    age(24.1)
    create(alice, "y")
    keys = "SELECT key FROM todo.idempotency_keys WHERE user_id = %s"
    assert database.run(keys, (alice.user_id,)) == [("y",)]
    assert read_task(create(alice, "x"), 201)["id"] != first["id"]


def test_each_creation_deletes_the_two_oldest_expired_keys(alice: Caller, database: Database) -> None:
    for hours in (25, 27, 26, 1):
        database.run(
            "INSERT INTO todo.idempotency_keys VALUES (%s, %s, '', 1, now() - %s * interval '1 hour')",
            (alice.user_id, f"{hours}", hours),
        )
    create(alice, "x")
    keys = "SELECT key FROM todo.idempotency_keys WHERE user_id = %s ORDER BY created_at"
    assert database.run(keys, (alice.user_id,)) == [("25",), ("1",), ("x",)]
    create(alice, "y")
    assert database.run(keys, (alice.user_id,)) == [("1",), ("x",), ("y",)]


def test_concurrent_creations_delete_expired_keys_together(
    app: Flask, settings: Settings, alice: Caller, database: Database
) -> None:
    database.run(
        "INSERT INTO todo.idempotency_keys SELECT %s, n::text, '', n, now() - interval '25 hours'"
        " FROM generate_series(1, 300) AS n",
        (alice.user_id,),
    )
    callers = [Caller(app.test_client(), settings, alice.user_id) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda number: create(callers[number % 8], f"new {number}"), range(200)))
    assert {response.status_code for response in responses} == {201}
    left = "SELECT count(*) FROM todo.idempotency_keys WHERE user_id = %s AND created_at < now() - interval '1 day'"
    assert database.run(left, (alice.user_id,))[0][0] < 200


def test_a_key_survives_a_release_that_adds_a_field(alice: Caller, database: Database) -> None:
    """Its fingerprint has no defaults: with a new field, the same request would have another one."""
    for key, body in (("short", {"title": "a"}), ("long", {"title": "a", "priority": None, "tags": []})):
        create(alice, key, **body)
    fingerprints = database.run("SELECT fingerprint FROM todo.idempotency_keys WHERE user_id = %s", (alice.user_id,))
    assert {bytes(fingerprint) for (fingerprint,) in fingerprints} == {sha256(b'{"title":"a"}').digest()}

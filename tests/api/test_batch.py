"""POST /api/tasks/batch: up to 100 operations, all or none."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from config import Settings
from tests.support.callers import Caller, read_problem, read_task, read_tasks
from tests.support.databases import Database, closing_pool
from todo import create_app
from todo.errors import Full
from todo.tasks.schemas import TaskSchema
from todo.web.parameters import MAX_ERRORS

PATH = "/api/tasks/batch"
MISSING = 2**62


def run(caller: Caller, *operations: Any, key: str | None = None) -> TestResponse:
    return caller.post(PATH, json={"operations": operations}, headers={"Idempotency-Key": key} if key else {})


def read_batch(response: TestResponse) -> list[Any]:
    """Return the tasks of a successful batch."""
    assert response.status_code == 200, response.text
    answer: Any = response.json
    assert [*answer] == ["tasks"]
    assert not TaskSchema(many=True).validate([task for task in answer["tasks"] if task is not None])
    return list(answer["tasks"])


def create(title: str = "new", **fields: Any) -> dict[str, Any]:
    return {"op": "create", "task": {"title": title, **fields}}


def update(task: Any, **changes: Any) -> dict[str, Any]:
    return {"op": "update", "id": task["id"], "changes": changes}


def complete(task: Any, completed: bool = True) -> dict[str, Any]:
    return {"op": "complete", "id": task["id"], "completed": completed}


def delete(task: Any) -> dict[str, Any]:
    return {"op": "delete", "id": task["id"]}


@pytest.fixture
def snapshot(alice: Caller, database: Database) -> Callable[[], Any]:
    """Read all that is stored for Alice, and what her devices would learn from the feed."""
    cursor = alice.get("/api/tasks/changes").get_json()["cursor"]

    def read() -> Any:
        tables = [
            database.run(f"SELECT * FROM todo.{table} WHERE user_id = %s ORDER BY 1, 2", (alice.user_id,))
            for table in ("tasks", "trash", "idempotency_keys")
        ]
        return tables, alice.get(f"/api/tasks/changes?cursor={cursor}").json

    return read


def test_all_operations_succeed_in_their_order(alice: Caller) -> None:
    changed, completed, deleted = alice.add("changed", tags=["old"]), alice.add("completed"), alice.add("deleted")
    fields = {"title": " new ", "description": "d", "tags": ["home"], "priority": "HIGH", "due_date": "2026-12-31"}
    tasks = read_batch(
        run(
            alice,
            {"op": "create", "task": {**fields, "completed": True, "id": 5, "color": "red"}},
            {**update(changed, title="Changed", due_date="2026-12-31T10:00:00+02:00"), "etag": changed["etag"]},
            complete(completed),
            {**delete(deleted), "etag": deleted["etag"]},
            create("last"),
        )
    )
    new, last = tasks[0], tasks[4]
    assert {name: new[name] for name in fields} == {**fields, "title": "new", "priority": "high"}
    assert new["completed_at"] == new["created_at"] == new["updated_at"]
    assert new["etag"] == f'"{new["id"]}.1"'
    assert tasks[1] == {
        **changed,
        "title": "Changed",
        "due_date": "2026-12-31T08:00:00.000000Z",
        "updated_at": tasks[1]["updated_at"],
        "etag": f'"{changed["id"]}.2"',
    }
    assert tasks[1]["updated_at"] > changed["updated_at"]
    assert (tasks[2]["completed"], tasks[2]["completed_at"]) == (True, tasks[2]["updated_at"])
    assert tasks[3] is None
    assert new["id"] < last["id"]
    assert read_tasks(alice.get("/api/tasks")) == [last, new, tasks[2], tasks[1]]
    assert [task["id"] for task in alice.get("/api/trash").get_json()] == [deleted["id"]]


def test_tasks_are_named_by_uid_in_any_case(alice: Caller) -> None:
    first, second, third = alice.add("a"), alice.add("b"), alice.add("c")
    named = [{"uid": task["uid"].upper()} for task in (first, second, third)]
    tasks = read_batch(
        run(
            alice,
            {"op": "update", **named[0], "changes": {"title": "A"}},
            {"op": "complete", **named[1], "completed": True},
            {"op": "delete", **named[2]},
        )
    )
    assert [task and (task["id"], task["title"]) for task in tasks] == [(first["id"], "A"), (second["id"], "b"), None]


def test_a_new_task_brings_its_uid(alice: Caller) -> None:
    uid = str(uuid4())
    [task] = read_batch(run(alice, create(uid=uid.upper())))
    assert task["uid"] == uid
    assert read_task(alice.get(f"/api/tasks/{uid}")) == task


@pytest.mark.parametrize("place", ["live", "trash"])
def test_a_uid_that_the_user_has_is_409(alice: Caller, snapshot: Callable[[], Any], place: str) -> None:
    task = alice.add()
    if place == "trash":
        alice.delete(f"/api/tasks/{task['id']}")
    before = snapshot()
    problem = read_problem(run(alice, create(), create(uid=task["uid"])), 409)
    assert (problem["code"], problem["operation"]) == ("uid_taken", 1)
    assert snapshot() == before


def test_a_uid_of_another_user_is_free(alice: Caller, bob: Caller) -> None:
    uid = bob.add()["uid"]
    assert [task["uid"] for task in read_batch(run(alice, create(uid=uid)))] == [uid]
    assert bob.titles() == ["Buy milk"]


def test_unchanged_tasks_keep_their_version(alice: Caller, snapshot: Callable[[], Any]) -> None:
    task, done = alice.add("same", due_date="2026-12-31"), alice.add("done", completed=True)
    before = snapshot()
    operations = [
        {**update(task, title=" same ", due_date="2026-12-31", completed=False), "etag": '"1.9"'},
        complete(done),
    ]
    assert read_batch(run(alice, *operations)) == [task, done]
    assert read_batch(run(alice, update(task))) == [task]
    assert snapshot() == before


def test_null_clears_and_other_fields_stay(alice: Caller) -> None:
    task = alice.add("x", description="d", priority="low", tags=["t"], due_date="2026-12-31", completed=True)
    changes = {"description": None, "priority": None, "due_date": None, "completed": False}
    [changed] = read_batch(run(alice, update(task, **changes)))
    assert {name: changed[name] for name in changes} == changes
    assert (changed["title"], changed["tags"], changed["completed_at"]) == ("x", ["t"], None)


@pytest.mark.parametrize("tag", ["{}", "W/{}", "gzip", "*", "{}, {}"])
def test_an_etag_of_the_task_allows_the_operation(alice: Caller, tag: str) -> None:
    task, other = alice.add(), alice.add()
    tags = [each["etag"].replace('"', "") for each in (task, other)]
    texts = [f'"{each}-gzip"' if tag == "gzip" else tag.replace("{}", f'"{each}"') for each in tags]
    tasks = read_batch(run(alice, {**update(task, title="x"), "etag": texts[0]}, {**delete(other), "etag": texts[1]}))
    assert tasks[1] is None


@pytest.mark.parametrize("tag", ['"#.1"', '"#.3"', '"x"', "", '"#"', '"0#.2"', '"#.2-"', '"1.2"', '"#.²"'])
@pytest.mark.parametrize("op", ["update", "delete"])
def test_any_other_etag_is_412(alice: Caller, snapshot: Callable[[], Any], op: str, tag: str) -> None:
    task, other = alice.add("task"), alice.add("other")
    alice.patch(f"/api/tasks/{task['id']}", json={"title": "2"})
    operation = update(task, title="x") if op == "update" else delete(task)
    before = snapshot()
    refused = {**operation, "etag": tag.replace("#", str(task["id"]))}
    problem = read_problem(run(alice, create(), complete(other), refused, delete({"id": MISSING})), 412)
    assert (problem["code"], problem["operation"]) == ("precondition_failed", 2)
    assert snapshot() == before


@pytest.mark.parametrize("key", [None, "key"])
def test_foreign_missing_and_impossible_tasks_are_the_same_404(
    alice: Caller, bob: Caller, snapshot: Callable[[], Any], key: str | None
) -> None:
    own, foreign, gone = alice.add(), bob.add("his"), alice.add()
    alice.delete(f"/api/tasks/{gone['id']}")
    before = snapshot()
    ids = [foreign["id"], gone["id"], MISSING, 0, -1, 2**63 - 1, 2**63, 10**30, 1.5]
    names = [*({"id": each} for each in ids), *({"uid": each} for each in (foreign["uid"], gone["uid"], str(uuid4())))]
    for rest in ({"op": "update", "changes": {"title": "x"}}, {"op": "complete", "completed": True}, {"op": "delete"}):
        answers = [run(alice, update(own, title="x"), {**rest, **name}, key=key) for name in names]
        assert len({answer.data for answer in answers}) == 1
        problem = read_problem(answers[0], 404)
        assert problem == {**read_problem(alice.get(f"/api/tasks/{MISSING}"), 404), "operation": 1}
    assert snapshot() == before
    assert bob.titles() == ["his"]


def test_the_first_refused_operation_is_named(alice: Caller) -> None:
    task = alice.add()
    changed = {**update(task, title="x"), "etag": '"1.99"'}
    assert read_problem(run(alice, changed, delete({"id": MISSING})), 412)["operation"] == 0
    assert read_problem(run(alice, create(), delete({"id": MISSING}), changed), 404)["operation"] == 1


INVALID: list[tuple[Any, dict[str, str]]] = [
    ({}, {"op": "Must be one of create, update, complete, delete."}),
    ({"op": "toggle", "id": 1}, {"op": "Must be one of create, update, complete, delete."}),
    ({"op": None}, {"op": "Must be one of create, update, complete, delete."}),
    ([], {"": "Must be an object, not an array."}),
    (None, {"": "Must be an object, not null."}),
    ("delete", {"": "Must be an object, not a string."}),
    ({"op": "create"}, {"task": "Required for create."}),
    ({"op": "create", "task": None}, {"task": "Must be an object, not null."}),
    ({"op": "create", "task": "x"}, {"task": "Must be an object, not a string."}),
    ({"op": "create", "task": {}}, {"task.title": "Required: a string of 1 to 200 characters."}),
    (create(uid="x"), {"task.uid": "Must be a UUID, such as 0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a."}),
    (create("", completed=1), {"task.title": "not 0.", "task.completed": "Must be true or false, not a number."}),
    ({**create(), "id": 1}, {"id": "Unknown for create, which has: op, task."}),
    ({"op": "update", "id": 1}, {"changes": "Required for update."}),
    ({"op": "update", "id": 1, "change": {"title": "x"}}, {"change": "Unknown for update", "changes": "Required"}),
    ({"op": "update", "id": 1, "changes": {"titel": "x"}}, {"changes.titel": "Cannot be set here; fields that can:"}),
    ({"op": "update", "id": 1, "changes": {"uid": "x"}}, {"changes.uid": "Cannot be set here"}),
    ({"op": "update", "id": 1, "changes": []}, {"changes": "Must be an object, not an array."}),
    ({"op": "update", "id": 1, "changes": {"title": None}}, {"changes.title": "May not be null"}),
    ({"op": "update", "id": 1, "changes": {}, "etag": 1}, {"etag": "Must be a string, not a number."}),
    ({"op": "update", "id": 1, "changes": {}, "etag": None}, {"etag": "Must be a string, not null."}),
    ({"op": "update", "changes": {}}, {"id": "Required for update: either id or uid."}),
    ({"op": "complete", "id": 1}, {"completed": "Required for complete."}),
    ({"op": "complete", "id": 1, "completed": "yes"}, {"completed": "Must be true or false, not a string."}),
    ({"op": "complete", "id": 1, "completed": True, "etag": '"1.1"'}, {"etag": "Unknown for complete"}),
    ({"op": "delete"}, {"id": "Required for delete: either id or uid."}),
    (
        {"op": "delete", "id": 1, "uid": "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a"},
        {"uid": "Send either id or uid, not both."},
    ),
    ({"op": "delete", "id": "1"}, {"id": "Must be a number, not a string."}),
    ({"op": "delete", "id": True}, {"id": "Must be a number, not a boolean."}),
    ({"op": "delete", "id": None}, {"id": "Must be a number, not null."}),
    ({"op": "delete", "uid": 5}, {"uid": "Must be a UUID"}),
    ({"op": "delete", "id": 1, "completed": True}, {"completed": "Unknown for delete, which has: op, id, uid, etag."}),
]


@pytest.mark.parametrize(("operation", "said"), INVALID, ids=[json.dumps(operation) for operation, _ in INVALID])
def test_an_invalid_operation_is_422_and_named_by_its_path(alice: Caller, operation: Any, said: dict[str, str]) -> None:
    paths = {f"operations.1.{name}".removesuffix("."): text for name, text in said.items()}
    problem = read_problem(run(alice, create(), operation), 422, *paths)
    for path, text in paths.items():
        assert text in problem["errors"][path][0]
    assert problem["detail"] in [f"{path}: {messages[0]}" for path, messages in problem["errors"].items()]
    assert alice.titles() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Required: an array of 1 to 100 operations."),
        ({"operations": None}, "Must be an array of 1 to 100 operations, not null."),
        ({"operations": {}}, "Must be an array of 1 to 100 operations, not an object."),
        ({"operations": []}, "Must have 1 to 100 operations, not 0."),
        ({"operations": [create()] * 101}, "Must have 1 to 100 operations, not 101."),
        ({"operation": [create()]}, "Required: an array of 1 to 100 operations."),
    ],
)
def test_there_are_1_to_100_operations(alice: Caller, body: Any, said: str) -> None:
    problem = read_problem(alice.post(PATH, json=body), 422, "operations")
    assert problem["errors"]["operations"] == [said]


def test_all_errors_are_listed_at_once_up_to_a_limit(alice: Caller) -> None:
    operations = [create(" "), create(), {"op": "delete"}, create(priority="x", tags=5)]
    paths = ["operations.0.task.title", "operations.2.id", "operations.3.task.priority", "operations.3.task.tags"]
    assert [*read_problem(run(alice, *operations), 422, *paths)["errors"]] == paths
    many = read_problem(run(alice, *([create(" ")] * 100)), 422, *(f"operations.{n}.task.title" for n in range(20)))
    assert len(many["errors"]) == MAX_ERRORS


def test_errors_are_in_the_order_of_the_operations(alice: Caller) -> None:
    uid, paths = str(uuid4()), ["operations.1.task.uid", "operations.2.op", "operations.3.uid"]
    operations = [create(uid=uid), create(uid=uid), {}, {"op": "delete", "uid": uid}]
    assert [*read_problem(run(alice, *operations), 422, *paths)["errors"]] == paths


def test_no_task_is_named_twice(alice: Caller, snapshot: Callable[[], Any]) -> None:
    task, uid = alice.add(), str(uuid4())
    by_uid = {"op": "delete", "uid": task["uid"]}
    before = snapshot()
    for first, second, path in (
        (update(task, title="x"), delete(task), "id"),
        (by_uid, {**by_uid, "uid": task["uid"].upper()}, "uid"),
        (create(uid=uid), create(uid=uid.upper()), "task.uid"),
        (create(uid=uid), {"op": "delete", "uid": uid}, "uid"),
        (delete(task), by_uid, "uid"),
        (by_uid, complete(task), "id"),
    ):
        problem = read_problem(run(alice, create(), first, second), 422, f"operations.2.{path}")
        assert "a batch may name a task once" in problem["detail"]
    assert snapshot() == before


def test_a_batch_of_100_operations_fills_a_megabyte(alice: Caller) -> None:
    fields = {"description": "ä" * 1000, "tags": [f"{number} {'ü' * 45}" for number in range(20)]}
    operations = [create("ö" * 200, **fields) for _ in range(100)]
    body = json.dumps({"operations": operations}, ensure_ascii=False).encode()
    body += b" " * (2**20 - len(body))
    response = alice.post(PATH, data=body, content_type="application/json")
    tasks = read_batch(response)
    assert [task["id"] for task in tasks] == sorted(task["id"] for task in tasks)
    assert {task["description"] for task in tasks} == {"ä" * 1000}
    problem = read_problem(alice.post(PATH, data=body + b" ", content_type="application/json"), 413)
    assert "1048576 bytes" in problem["detail"]


def test_the_changes_are_in_the_feed(alice: Caller) -> None:
    kept, changed, deleted = alice.add("kept"), alice.add("changed"), alice.add("deleted")
    cursor = alice.get("/api/tasks/changes").get_json()["cursor"]
    [new, now, _] = read_batch(run(alice, create(), update(changed, title="now"), delete(deleted)))
    answer = alice.get(f"/api/tasks/changes?cursor={cursor}").get_json()
    gone = {"id": deleted["id"], "uid": deleted["uid"], "deleted": True}
    assert answer["changes"] == [{**now, "deleted": False}, gone, {**new, "deleted": False}]
    assert kept["id"] not in [each["id"] for each in answer["changes"]]
    restored = read_task(alice.post(f"/api/trash/{deleted['id']}/restore"))
    assert (restored["title"], restored["etag"]) == ("deleted", f'"{deleted["id"]}.2"')


def test_the_path_with_the_user_id_works_too(alice: Caller, bob: Caller) -> None:
    path = f"/api/{alice.user_id}/tasks/batch/"
    read_batch(alice.post(path, json={"operations": [create()]}))
    read_problem(bob.post(path, json={"operations": [create()]}), 404)
    assert alice.titles() == ["new"]


# Idempotency-Key


def test_a_repeated_batch_has_one_effect(alice: Caller) -> None:
    changed, deleted = alice.add("changed"), alice.add("deleted")
    operations = [create("new"), update(changed, title="x"), delete(deleted), create("own", uid=str(uuid4()))]
    first = run(alice, *operations, key="key")
    assert "Idempotent-Replayed" not in first.headers
    again = run(alice, *operations, key="key")
    assert read_batch(again) == read_batch(first)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert alice.titles() == ["own", "new", "x"]


def test_a_repeated_batch_returns_the_tasks_as_they_are_now(alice: Caller) -> None:
    changed, by_uid = alice.add("changed"), alice.add("by uid")
    named = {"op": "update", "uid": by_uid["uid"], "changes": {"title": "named"}}
    operations = [create("a"), create("b"), create("c"), update(changed, title="x"), named]
    tasks = read_batch(run(alice, *operations, key="key"))
    alice.patch(f"/api/tasks/{tasks[0]['id']}", json={"title": "A"})
    alice.delete(f"/api/tasks/{tasks[1]['id']}")
    alice.delete(f"/api/tasks/{tasks[2]['id']}")
    alice.delete(f"/api/trash/{tasks[2]['id']}")
    alice.delete(f"/api/tasks/{changed['id']}")
    again = read_batch(run(alice, *operations, key="key"))
    assert [task and task["title"] for task in again] == ["A", None, None, None, "named"]


def test_a_key_of_another_request_is_422(alice: Caller) -> None:
    task = alice.add()
    run(alice, create("a"), key="batch")
    alice.post("/api/tasks", json={"title": "a"}, headers={"Idempotency-Key": "task"})
    titles = alice.titles()
    for key, operations in (
        ("batch", [create("b")]),
        ("batch", [create("a"), create("b")]),
        ("batch", [create("a", uid=str(uuid4()))]),
        ("batch", [delete(task)]),
        ("batch", [{**delete(task), "etag": task["etag"]}]),
        ("task", [create("a")]),
    ):
        problem = read_problem(run(alice, *operations, key=key), 422, "Idempotency-Key")
        assert problem["code"] == "idempotency_key_reused"
    response = alice.post("/api/tasks", json={"title": "a"}, headers={"Idempotency-Key": "batch"})
    read_problem(response, 422, "Idempotency-Key")
    assert alice.titles() == titles


def test_ignored_and_default_fields_do_not_change_the_batch(alice: Caller) -> None:
    first = run(alice, create(" a ", description=None), key="key")
    second = run(alice, {"task": {"title": "a", "tags": [], "color": "red"}, "op": "CREATE"}, key="key")
    assert read_batch(first) == read_batch(second)


def test_the_key_of_a_batch_survives_a_release_that_adds_a_field(alice: Caller, database: Database) -> None:
    """Its fingerprint has no defaults: with a new field, the same request would have another one."""
    run(alice, create("a"), key="short")
    run(alice, create("a", priority=None, tags=[]), key="long")
    fingerprints = database.run("SELECT fingerprint FROM todo.idempotency_keys WHERE user_id = %s", (alice.user_id,))
    expected = sha256(b'[{"op":"create","title":"a"}]').digest()
    assert {bytes(fingerprint) for (fingerprint,) in fingerprints} == {expected}


def test_a_refused_batch_does_not_use_up_the_key(alice: Caller) -> None:
    task = alice.add()
    read_problem(run(alice, create(), delete({"id": MISSING}), key="key"), 404)
    read_problem(run(alice, {**delete(task), "etag": '"1.99"'}, key="key"), 412)
    read_problem(run(alice, create(uid=task["uid"]), key="key"), 409)
    read_batch(run(alice, create("other"), key="key"))
    assert alice.titles() == ["other", "Buy milk"]


def test_keys_of_batches_belong_to_one_user(alice: Caller, bob: Caller) -> None:
    answers = [read_batch(run(caller, create(), key="key"))[0] for caller in (alice, bob)]
    assert [task["user_id"] for task in answers] == [alice.user_id, bob.user_id]
    assert read_batch(run(bob, create(), key="key")) == [answers[1]]


def test_a_malformed_key_is_400(alice: Caller) -> None:
    assert read_problem(run(alice, create(), key="é"), 400)["code"] == "invalid_header"
    assert alice.titles() == []


def test_twenty_batches_with_one_key_have_one_effect(app: Flask, settings: Settings, alice: Caller) -> None:
    task, gone = alice.add("x"), alice.add("gone")
    callers = [Caller(app.test_client(), settings, alice.user_id) for _ in range(20)]
    operations = [create("a"), create("b"), update(task, title="y"), delete(gone)]
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda caller: run(caller, *operations, key="at once"), callers))
    assert len({json.dumps(read_batch(response)) for response in responses}) == 1
    assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1
    assert alice.titles() == ["b", "a", "y"]


def test_a_batch_deletes_the_two_oldest_expired_keys(alice: Caller, database: Database) -> None:
    for hours in (25, 27, 26, 1):
        database.run(
            "INSERT INTO todo.idempotency_keys (user_id, key, fingerprint, task_id, created_at)"
            " VALUES (%s, %s, '', 1, now() - %s * interval '1 hour')",
            (alice.user_id, f"{hours}", hours),
        )
    run(alice, create(), key="x")
    keys = "SELECT key FROM todo.idempotency_keys WHERE user_id = %s ORDER BY created_at"
    assert database.run(keys, (alice.user_id,)) == [("25",), ("1",), ("x",)]


# Concurrency


def test_batches_in_reversed_orders_do_not_deadlock(app: Flask, settings: Settings, alice: Caller) -> None:
    tasks = [alice.add(str(number)) for number in range(10)]
    callers = [Caller(app.test_client(), settings, alice.user_id) for _ in range(8)]

    def work(number: int) -> list[int]:
        caller, statuses = callers[number], []
        for step in range(5):
            ordered = tasks if (number + step) % 2 else tasks[::-1]
            keyed = {"key": f"{step}"} if number % 4 == 0 else {}
            operations = [update(task, title=f"{number} {step}") for task in ordered]
            statuses.append(run(caller, *operations, create(f"{number} {step}"), **keyed).status_code)
            statuses.append(caller.patch(f"/api/tasks/{tasks[step]['id']}/complete").status_code)
            headers = {"Idempotency-Key": f"{step}"} if number == 1 else {}
            answer = caller.post("/api/tasks", json={"title": "single"}, headers=headers)
            statuses.append(answer.status_code)
        return statuses

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for found in pool.map(work, range(8)) for status in found]
    assert set(statuses) <= {200, 201, 422}, statuses
    assert len({task["title"] for task in read_tasks(alice.get("/api/tasks")) if task["id"] <= tasks[-1]["id"]}) == 1


def test_concurrent_batches_count_each_version(app: Flask, settings: Settings, alice: Caller) -> None:
    """Of two batches that know the same version, one is refused."""
    task = alice.add("0")
    callers = [Caller(app.test_client(), settings, alice.user_id) for _ in range(8)]

    def work(number: int) -> int:
        operation = {**update(task, title=f"title {number}"), "etag": task["etag"]}
        return run(callers[number], create(f"of {number}"), operation).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(work, range(8)))
    assert statuses == [200, *[412] * 7]
    new, old = read_tasks(alice.get("/api/tasks"))
    assert new["title"].removeprefix("of ") == old["title"].removeprefix("title ")


# Settings


@pytest.fixture
def configured(database: Database) -> Iterator[Callable[..., Caller]]:
    """Make a caller of an application with other settings."""
    apps = []

    def make(**values: Any) -> Caller:
        settings = database.settings(**values)
        apps.append(closing_pool(create_app(settings)))
        return Caller(apps[-1].__enter__().test_client(), settings)

    yield make
    for app in apps:
        app.__exit__(None, None, None)


@pytest.mark.parametrize(("name", "yes", "no"), [("is_completed", True, False), ("status", "completed", "pending")])
def test_the_second_name_of_completed_is_read_and_shown(
    configured: Callable[..., Caller], name: str, yes: Any, no: Any
) -> None:
    alice = configured(completed_as=name)
    task: Any = alice.post("/api/tasks", json={"title": "x"}).json
    response = run(alice, {"op": "create", "task": {"title": "new", name: yes}}, update(task, **{name: yes}))
    assert [(each["completed"], each[name]) for each in response.get_json()["tasks"]] == [(True, yes)] * 2
    problem = read_problem(
        run(alice, create(), update(task, **{name: no, "completed": True})), 422, f"operations.1.changes.{name}"
    )
    assert "Contradicts completed" in problem["detail"]
    answer: Any = run(alice, complete(task, completed=False)).json
    assert answer["tasks"][0][name] == no


def test_creations_over_the_limit_of_tasks_are_403(configured: Callable[..., Caller]) -> None:
    alice = configured(max_tasks=3)
    first = alice.add("first")
    for key in (None, "key"):
        assert read_problem(run(alice, create("a"), create("b"), create("c"), key=key), 403)["detail"] == Full.sentence
        assert alice.titles() == ["first"]
    read_problem(run(alice, *([create()] * 100)), 403)
    read_batch(run(alice, create("a"), create("b"), key="key"))
    read_problem(run(alice, create("c")), 403)
    again = run(alice, create("a"), create("b"), key="key")
    assert again.headers["Idempotent-Replayed"] == "true"
    read_batch(run(alice, update(first, title="changed"), complete(first) | {"id": again.get_json()["tasks"][0]["id"]}))
    assert alice.titles() == ["b", "a", "changed"]


def test_deletions_make_room_for_the_creations_of_a_batch(configured: Callable[..., Caller]) -> None:
    alice = configured(max_tasks=2)
    tasks = [alice.add("1"), alice.add("2")]
    read_problem(run(alice, delete(tasks[0]), create("3"), create("4")), 403)
    read_batch(run(alice, create("3"), create("4"), *map(delete, tasks)))
    assert alice.titles() == ["4", "3"]
    read_batch(run(alice, *map(delete, read_tasks(alice.get("/api/tasks"))), create("5")))
    assert [task["title"] for task in alice.get("/api/trash").get_json()] == ["4", "3"]


def test_old_tasks_leave_the_trash_as_others_enter_it(alice: Caller, database: Database) -> None:
    old = [alice.add(f"old {number}") for number in range(5)]
    read_batch(run(alice, *map(delete, old)))
    database.run("UPDATE todo.trash SET deleted_at = now() - interval '31 days' WHERE user_id = %s", (alice.user_id,))
    new = [alice.add(f"new {number}") for number in range(2)]
    stored = "SELECT title FROM todo.trash WHERE user_id = %s ORDER BY change, id"
    read_problem(run(alice, *map(delete, new), delete({"id": MISSING})), 404)
    assert len(database.run(stored, (alice.user_id,))) == 5
    read_batch(run(alice, *map(delete, new)))
    assert database.run(stored, (alice.user_id,)) == [("old 4",), ("new 0",), ("new 1",)]


def test_completion_accepts_the_second_name(database: Database) -> None:
    for name, value in (("is_completed", True), ("status", "completed")):
        settings = database.settings(completed_as=name)
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings)
            task_id = caller.post("/api/tasks", json={"title": "x"}).get_json()["id"]
            operation = {"op": "complete", "id": task_id, name: value}
            [task] = caller.post("/api/tasks/batch", json={"operations": [operation]}).get_json()["tasks"]
            assert (task["completed"], task[name]) == (True, value)
            contradiction = {"op": "complete", "id": task["id"], name: value, "completed": False}
            assert caller.post("/api/tasks/batch", json={"operations": [contradiction]}).status_code == 422


def test_both_names_of_a_task_are_too_many(alice: Caller) -> None:
    task = alice.add()
    operation = {"op": "delete", "id": task["id"], "uid": task["uid"]}
    answer = alice.post("/api/tasks/batch", json={"operations": [operation]})
    problem = read_problem(answer, 422, "operations.0.uid")
    assert problem["errors"]["operations.0.uid"] == ["Send either id or uid, not both."]

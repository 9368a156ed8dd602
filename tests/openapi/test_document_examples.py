"""The error examples of the document equal the real responses: the tests provoke each error."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.support.callers import Caller
from tests.support.databases import Database, closing_pool
from tests.support.openapi import list_operations, resolve
from todo import create_app
from todo.auth.tokens import issue_token
from todo.tasks.schemas import TaskQuerySchema

# A body of POST /api/tasks, and of a batch.
ANOTHER = {"title": "another", "operations": [{"op": "create", "task": {"title": "another"}}]}
UID = "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a"
# The request that provokes each error, by cause. Other causes have their own tests.
PROVOCATIONS: dict[tuple[str, int], dict[str, Any]] = {
    ("missing token", 401): {},
    ("expired token", 401): {},
    ("invalid token", 401): {},
    ("path", 404): {},
    ("unknown parameter", 422): {"query_string": {"x": "y"}},
    ("query", 400): {"query_string": {"cursor": "x"}},
    ("query", 422): {"query_string": TaskQuerySchema.refused},
    ("body", 400): {"json": []},
    ("body", 413): {"json": "x" * 2**20},
    ("body", 415): {"data": "x", "content_type": "text/plain"},
    ("body", 422): {},
    ("Idempotency-Key", 400): {"headers": {"Idempotency-Key": "é"}, "json": ANOTHER},
    ("Idempotency-Key", 422): {"headers": {"Idempotency-Key": "used"}, "json": ANOTHER},
    ("idempotency_key_gone", 409): {"headers": {"Idempotency-Key": "gone"}, "json": {"title": "x"}},
    ("operation", 404): {"json": {"operations": [{"op": "delete", "id": 2**60}]}},
    ("operation", 409): {"json": {"operations": [{"op": "create", "task": {"title": "x", "uid": UID}}]}},
    ("operation", 412): {"json": {"operations": [{"op": "delete", "uid": UID, "etag": '"999"'}]}},
    ("task_in_trash", 410): {"json": {"title": "x"}},
    ("cursor_expired", 410): {},
    ("If-Match", 412): {"headers": {"If-Match": '"999"'}, "json": {"completed": True}},
}
OTHERS = {
    ("rate limit", 429),
    ("concurrent requests", 429),
    ("time of the search", 422),
    ("task_limit_reached", 403),
    ("service", 500),
    ("service", 503),
}


def list_examples(document: Any) -> Iterator[tuple[str, str, tuple[str, int], Any, Any]]:
    """Yield method, path, cause and status, operation, and example."""
    for method, path, operation in list_operations(document):
        for status, answer in operation["responses"].items():
            content = resolve(document, answer).get("content", {})
            for cause, example in content.get("application/problem+json", {}).get("examples", {}).items():
                yield method, path, (cause, int(status)), operation, example["value"]


def example_of(document: Any, wanted: tuple[str, int]) -> Any:
    return next(said for *_, provocation, _, said in list_examples(document) if provocation == wanted)


@pytest.fixture
def task_id(alice: Caller) -> int:
    """Alice with a task, another one with UID, and two used idempotency keys, one of a deleted task."""
    alice.put(f"/api/tasks/{UID}", json={"title": "x"})
    for key in ("used", "gone"):
        answer: Any = alice.post("/api/tasks", json={"title": "x"}, headers={"Idempotency-Key": key}).json
    alice.delete(f"/api/tasks/{answer['id']}")
    return int(alice.add()["id"])


@pytest.fixture
def foreign_cursor(bob: Caller) -> str:
    """Return a cursor of the change feed that Alice cannot use."""
    bob.add()
    page: Any = bob.get("/api/tasks/changes").json
    return str(page["cursor"])


def find_refused_bodies(app: Flask) -> dict[str, Any]:
    """Return the invalid example of each body's schema, by the schema's name in the document."""
    settings = app.extensions["settings"]
    bodies = [view.declare(settings).body for view in app.view_functions.values() if hasattr(view, "declare")]
    bodies = [body for body in bodies if body is not None]
    return {type(body).__name__.removesuffix("Schema"): body.refused for body in bodies}


def test_every_cause_of_an_error_has_a_test(document: Any) -> None:
    assert {provocation for _, _, provocation, *_ in list_examples(document)} == PROVOCATIONS.keys() | OTHERS


def test_every_operation_fails_as_its_examples_show(
    app: Flask, document: Any, client: FlaskClient, settings: Settings, alice: Caller, task_id: int, foreign_cursor: str
) -> None:
    other, refused = [], find_refused_bodies(app)
    expired = issue_token(settings, alice.user_id, -60)
    tokens = {
        "missing token": {},
        "expired token": {"Authorization": f"Bearer {expired}"},
        "invalid token": {"Authorization": f"{alice.authorization}x"},
    }
    for method, path, provocation, operation, said in list_examples(document):
        if provocation in OTHERS:
            continue
        options = PROVOCATIONS[provocation]
        ids: dict[str, Any] = {"task_id": task_id, "user_id": alice.user_id}
        if provocation == ("path", 404):
            ids = {"task_id": 2**60, "user_id": "somebody else"}
        if provocation == ("task_in_trash", 410):
            ids["task_id"] = alice.add_for("/trash/")["uid"]
        if provocation == ("cursor_expired", 410):
            options = {"query_string": {"cursor": foreign_cursor}}
        if provocation == ("body", 422):
            schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            options = {"json": refused[schema]}
        address = path.format(**ids)
        if provocation[1] == 401:
            response = client.open(address, method=method, headers=tokens[provocation[0]])
        else:
            response = alice.call(method, address, **options)
        if response.json != said:
            other.append(f"{method} {path} {provocation}: {response.text}")
    assert other == []


def test_the_rate_limit_example_matches_except_for_numbers(document: Any, database: Database) -> None:
    settings = database.settings(rate_limit="1/minute")
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        answers: list[Any] = [caller.get("/api/tasks").json for _ in range(2)]
    for problem in (said := example_of(document, ("rate limit", 429)), answers[1]):
        problem["detail"] = re.sub(r"\d+", "some", problem["detail"])
    assert answers[1] == said


def test_the_example_of_too_many_tasks_matches(document: Any, database: Database) -> None:
    settings = database.settings(max_tasks=1)
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        deleted = caller.add_for("/trash/")["id"]
        path = f"/api/tasks/{caller.add(due_date='2040-01-01', recurrence={'rule': 'FREQ=DAILY'})['id']}"
        refused: list[Any] = [
            caller.post("/api/tasks", json={"title": "x"}).json,
            caller.post("/api/tasks/batch", json=ANOTHER).json,
            caller.put(f"/api/tasks/{uuid4()}", json={"title": "x"}).json,
            caller.post(f"/api/trash/{deleted}/restore").json,
            caller.patch(path, json={"completed": True}).json,
            caller.patch(f"{path}/complete").json,
        ]
    said = [example for *_, cause, _, example in list_examples(document) if cause == ("task_limit_reached", 403)]
    assert refused == said


def test_examples_of_500_and_503_match_except_for_the_request_id(document: Any, empty_database: Database) -> None:
    settings = empty_database.settings()
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        unavailable: Any = caller.get("/api/tasks").json
        empty_database.migrate()
        empty_database.run("REVOKE SELECT ON todo.tasks FROM todo_app")
        broken: Any = caller.get("/api/tasks").json
    for answer in (unavailable, broken):
        said = example_of(document, ("service", answer["status"]))
        assert answer == {**said, "request_id": answer["request_id"]}
    assert (unavailable["status"], broken["status"]) == (503, 500)

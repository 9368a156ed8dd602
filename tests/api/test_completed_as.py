"""COMPLETED_AS: a second name of `completed`, in requests and responses."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.callers import Caller, read_problem
from tests.support.databases import Database, closing_pool
from todo import create_app

VALUES: dict[str, tuple[Any, Any]] = {
    "is_completed": (False, True),
    "is_complete": (False, True),
    "status": ("pending", "completed"),
}


@pytest.fixture(params=VALUES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def carol(database: Database, name: str) -> Iterator[Caller]:
    settings = database.settings(completed_as=name, list_format="object")
    with closing_pool(create_app(settings)) as app:
        yield Caller(app.test_client(), settings)


def test_both_names_are_in_every_response(carol: Caller, name: str) -> None:
    def read(response: TestResponse) -> Any:
        task: Any = response.json
        values.append((task["completed"], task[name]))
        return task

    values: list[Any] = []
    path = f"/api/tasks/{read(carol.post('/api/tasks', json={'title': 'x'}))['id']}"
    read(carol.patch(f"{path}/complete"))
    read(carol.get(path))
    read(carol.put(path, json={"title": "y"}))
    listed: Any = carol.get("/api/tasks").json
    assert listed["tasks"] == [carol.get(path).json]
    pending, done = VALUES[name]
    assert values == [(False, pending), *[(True, done)] * 3]


@pytest.mark.parametrize(("method", "end"), [("PUT", ""), ("PATCH", ""), ("PATCH", "/complete"), ("PATCH", "/status")])
def test_a_task_is_completed_and_reopened_by_the_second_name(carol: Caller, name: str, method: str, end: str) -> None:
    pending, done = VALUES[name]
    task: Any = carol.post("/api/tasks", json={"title": "x", name: done}).json
    assert task["completed"] is True
    path = f"/api/tasks/{task['id']}{end}"
    for value, completed in ((done, True), (pending, False), (pending, False), (done, True)):
        response: Any = carol.call(method, path, json={name: value}).json
        assert response["completed"] is completed
    again: Any = carol.call(method, path, json=response).json
    assert again == response


def test_contradicting_names_are_refused(carol: Caller, name: str) -> None:
    pending, done = VALUES[name]
    for completed, value in ((True, pending), (False, done)):
        body = {"title": "x", "completed": completed, name: value}
        problem = read_problem(carol.post("/api/tasks", json=body), 422, name)
        assert problem["detail"] == f"{name}: Contradicts completed."


@pytest.mark.parametrize("value", [1, "yes", None, [], "all"])
def test_other_values_are_refused_under_the_name_that_was_sent(carol: Caller, name: str, value: Any) -> None:
    problem = read_problem(carol.post("/api/tasks", json={"title": "", name: value}), 422, name, "title")
    allowed = {"status": "pending, completed"}.get(name, "true or false")
    assert allowed in problem["errors"][name][0]


def test_the_document_has_the_second_name(carol: Caller, name: str) -> None:
    document: Any = carol.get("/api/openapi.json").json
    schemas = document["components"]["schemas"]
    with_name = {each for each, schema in schemas.items() if name in schema.get("properties", {})}
    shown, taken = (
        {"Task", "Change", "TrashedTask"},
        {"NewTask", "BatchTask", "BatchOperation", "TaskChanges", "Completion"},
    )
    assert with_name - {"Problem"} == shown | taken


def test_by_default_there_is_one_name(alice: Caller) -> None:
    task = alice.add(status="completed", is_completed=True)
    assert task["completed"] is False
    assert not task.keys() & VALUES.keys()

"""Clients of the service, each with its own token, and checks of their responses."""

import re
import secrets
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Settings
from tests.support.commands import ROOT
from todo.auth.tokens import issue_token
from todo.openapi.errors import ProblemSchema
from todo.tasks.schemas import TaskSchema

# The paths that need no token: the document and the page that shows it.
OPEN = ("/api/openapi.json", "/api/docs")
# The documented codes of problems.
CODES = set(re.findall(r"^\| \d{3} \| [\w ]+ \| `(\w+)` \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE))
INTERNAL = ("psycopg2", "sqlalchemy", "Traceback", "todo.tasks", "todo_app", "/todo/", "SELECT", "relation")


class Caller:
    """A client with a token. By default it has a new user, who has no tasks."""

    def __init__(self, client: FlaskClient, settings: Settings, user_id: str | None = None) -> None:
        self.user_id = user_id or f"user-{secrets.token_hex(8)}"
        self.authorization = f"Bearer {issue_token(settings, self.user_id, 600)}"
        self._client = client

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {"Authorization": self.authorization, **options.pop("headers", {})}
        return self._client.open(path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.call("POST", path, **options)

    def put(self, path: str, **options: Any) -> TestResponse:
        return self.call("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> TestResponse:
        return self.call("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.call("DELETE", path, **options)

    def add(self, title: str = "Buy milk", **fields: Any) -> dict[str, Any]:
        """Create a task and return it."""
        return read_task(self.post("/api/tasks", json={"title": title, **fields}), 201)

    def add_for(self, path: str, title: str = "Buy milk", **fields: Any) -> dict[str, Any]:
        """Create a task that an operation with this path finds: for the operations of the trash, it is deleted."""
        task = self.add(title, **fields)
        if "/trash/" in path:
            assert self.delete(f"/api/tasks/{task['id']}").status_code in {200, 204}
        return task

    def titles(self) -> list[str]:
        return [task["title"] for task in read_tasks(self.get("/api/tasks"))]


def read_task(response: TestResponse, status: int = 200) -> dict[str, Any]:
    """Return the task in a response, after a check against the documented schema."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    task: Any = response.json
    assert not TaskSchema().validate(task)
    return dict(task)


def read_tasks(response: TestResponse) -> list[dict[str, Any]]:
    """Return the tasks in the response to a list request."""
    assert response.status_code == 200, response.text
    tasks: Any = response.json
    assert isinstance(tasks, list)
    assert not TaskSchema(many=True).validate(tasks)
    return tasks


def read_problem(response: TestResponse, status: int, *fields: str) -> dict[str, Any]:
    """Return the problem in a response (RFC 9457), after a check that its errors name exactly these fields."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    problem: Any = response.json
    assert not ProblemSchema().validate(problem)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["code"] in CODES
    assert problem["detail"]
    assert set(problem.get("errors", ())) == set(fields)
    return dict(problem)


def read_internal_problem(response: TestResponse, status: int) -> dict[str, Any]:
    problem = read_problem(response, status)
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert not [word for word in INTERNAL if word in response.text]
    return problem


def operations_on_a_task(app: Flask) -> list[tuple[str, str]]:
    """Return method and path of every operation on one task, in all spellings; Caller.add_for makes a task for each."""
    found = sorted(each for each in list_routes(app) if "{task_id}" in each[1])
    assert len(found) >= 26
    return found


def list_routes(app: Flask) -> set[tuple[str, str]]:
    """Return method and path, as OpenAPI writes it, of every route that needs a token."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and not rule.rule.startswith(OPEN)
    }

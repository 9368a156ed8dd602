"""Each request sends exactly one message to PostgreSQL, counted on the wire."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from config import Settings
from tests.support.callers import Caller, read_problem
from tests.support.databases import Database, closing_pool
from tests.support.wire import Wire
from todo import create_app
from todo.database import isolation
from todo.extensions import db


@pytest.fixture(scope="module")
def wire(database: Database) -> Iterator[Wire]:
    with Wire(database.server.superuser_url) as wire:
        yield wire


@pytest.fixture(scope="module")
def wired_app(wire: Wire, database: Database) -> Iterator[tuple[Flask, Settings]]:
    settings = replace(wire.settings(database), transactions="implicit")
    with closing_pool(create_app(settings)) as app:
        yield app, settings


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/tasks", None, 200),
        ("POST", "/api/tasks", {"title": "x", "description": "y", "completed": True}, 201),
        ("GET", "/api/tasks/{id}", None, 200),
        ("PUT", "/api/tasks/{id}", {"title": "new", "completed": True}, 200),
        ("PATCH", "/api/tasks/{id}", {"description": None}, 200),
        ("PATCH", "/api/tasks/{id}", {}, 200),
        ("PATCH", "/api/tasks/{id}/complete", None, 200),
        ("PATCH", "/api/tasks/{id}/complete", {"completed": True}, 200),
        ("DELETE", "/api/tasks/{id}", None, 204),
        ("GET", "/api/tasks/1000000000", None, 404),
        ("PATCH", "/api/tasks/1000000000", {"title": "x"}, 404),
        ("DELETE", "/api/tasks/1000000000", None, 404),
        ("GET", "/api/{user}/tasks", None, 200),
        ("GET", "/api/tasks?sort=due_date&order=desc&limit=1", None, 200),
        ("GET", "/api/tasks?sort=priority&status=pending&tag=x&priority=low&due_before=2026-12-31", None, 200),
        ("GET", "/api/tasks?sort=title&search=some words&completed=true&limit=5", None, 200),
    ],
)
def test_an_operation_is_one_message(
    wire: Wire, wired_app: tuple[Flask, Settings], method: str, path: str, body: Any, status: int
) -> None:
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    path = path.format(id=caller.add()["id"], user=caller.user_id)
    wire.messages.clear()
    assert caller.call(method, path, json=body).status_code == status
    assert [kind for kind, _ in wire.messages] == ["Q"]
    assert wire.messages[0][1].startswith("SELECT set_config('role', 'todo_app', true)")


def test_explicit_transactions_set_the_user_before_the_statement(wire: Wire, database: Database) -> None:
    """TRANSACTIONS=explicit, as Citus needs: several messages, of which the first sets the user."""
    settings = replace(wire.settings(database), transactions="explicit")
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        caller.add()
        wire.messages.clear()
        assert caller.titles() == ["Buy milk"]
        sent = [statement.split()[0].strip(";") for _, statement in wire.messages]
        assert sent == ["BEGIN", "SELECT", "COMMIT"]
        assert "SET LOCAL role = 'todo_app'; SET LOCAL todo.user_id = " in wire.messages[0][1]
        wire.messages.clear()
        read_problem(caller.patch("/api/tasks/1000000000", json={"title": "x"}), 404)
        assert [statement.split()[0].strip(";") for _, statement in wire.messages][-1] == "COMMIT"


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/api/tasks/abc", {}, 404),
        ("GET", f"/api/tasks/{2**63}", {}, 404),
        ("GET", "/api/mallory/tasks", {}, 404),
        ("POST", "/api/tasks", {"json": {"title": ""}}, 422),
        ("POST", "/api/tasks", {"data": "x"}, 415),
        ("PUT", "/api/tasks", {}, 405),
        ("GET", "/api/tasks?sort=nonsense", {}, 422),
        ("GET", "/api/tasks?cursor=nonsense", {}, 400),
        ("GET", "/healthz", {}, 200),
        ("GET", "/api/openapi.json", {}, 200),
    ],
)
def test_requests_that_need_no_database_send_nothing(
    wire: Wire, wired_app: tuple[Flask, Settings], method: str, path: str, options: Any, status: int
) -> None:
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    caller.titles()
    wire.messages.clear()
    assert caller.call(method, path, **options).status_code == status
    assert wire.messages == []


def test_a_query_without_a_user_never_reaches_the_database(wire: Wire, wired_app: tuple[Flask, Settings]) -> None:
    app, settings = wired_app
    Caller(app.test_client(), settings).titles()
    wire.messages.clear()
    with app.app_context(), pytest.raises(isolation.NoUserError):
        db.session.connection().exec_driver_sql("SELECT 1")
    assert wire.messages == []

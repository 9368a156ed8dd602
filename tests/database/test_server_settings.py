"""Settings of the database or the login that would break a promise, and objects of other roles in the search path."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import text

from config import Settings
from tests.support.callers import (
    Caller,
    operations_on_a_task,
    read_internal_problem,
    read_problem,
    read_task,
    read_tasks,
)
from tests.support.commands import invoke
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.logs import Log
from todo import create_app
from todo.database import isolation
from todo.database.statements import Statement


@pytest.fixture(params=["ROLE", "DATABASE"])
def alter(request: pytest.FixtureRequest, own_database: Database) -> Callable[[str], None]:
    """Change a setting of the login, or of the database."""
    names = {"ROLE": own_database.role("web"), "DATABASE": own_database.name}

    def alter(setting: str) -> None:
        own_database.run(f"ALTER {request.param} {names[request.param]} SET {setting}")

    return alter


@pytest.fixture
def settings(own_database: Database) -> Settings:
    return own_database.settings("web")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with closing_pool(create_app(settings)) as app:
        yield app


@pytest.fixture
def show(app: Flask, alice: Caller) -> Callable[[str], str]:
    """Return the value of a setting within a request."""

    def show(name: str) -> str:
        statement: Statement[Any] = Statement(text(f"SELECT current_setting('{name}')"))
        with app.app_context():
            return str(isolation.fetch(alice.user_id, statement, {})[0][0])

    return show


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("synchronous_commit", "off", "on"),
        ("synchronous_commit", "local", "local"),
        ("synchronous_commit", "remote_apply", "remote_apply"),
        ("row_security", "off", "on"),
        ("default_transaction_isolation", "serializable", "read committed"),
        ("search_path", "public, pg_catalog", ""),
    ],
)
def test_requests_do_not_depend_on_default_settings(
    alter: Callable[[str], None], show: Callable[[str], str], alice: Caller, name: str, value: str, wanted: str
) -> None:
    alter(f"{name} = {value}")
    assert show(name).strip('"') == wanted
    assert show("transaction_isolation") == "read committed"
    task = alice.add("hers", tags=["home"])
    assert read_task(alice.patch(f"/api/tasks/{task['id']}", json={"title": "new"}))["title"] == "new"
    keyed = [alice.post("/api/tasks", json={"title": "x"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert read_task(keyed[0], 201) == read_task(keyed[1], 201)
    assert [each["title"] for each in read_tasks(alice.get("/api/tasks?tag=home"))] == ["new"]


def test_requests_call_no_functions_of_other_roles(
    own_database: Database, app: Flask, alice: Caller, shadow: Callable[[Database], None]
) -> None:
    shadow(own_database)
    alice.add("hers", tags=["home"])
    found = [read_tasks(alice.get(f"/api/tasks?{query}")) for query in ("tag=home", "search=home", "search=hers")]
    assert [[task["title"] for task in tasks] for tasks in found] == [["hers"], [], ["hers"]]
    for method, path in operations_on_a_task(app):
        task = alice.add_for(path, "each", tags=["home"])
        url = path.format(task_id=task["id"], user_id=alice.user_id)
        assert alice.call(method, url, json={"title": "x", "completed": True, "tags": ["new"]}).status_code in {
            200,
            204,
        }
    assert alice.post("/api/tasks", json={"title": "x"}, headers={"Idempotency-Key": "k"}).status_code == 201
    for path in ("/api/tasks/changes", "/api/trash"):
        assert alice.get(path).status_code == 200
    assert alice.put(f"/api/tasks/{uuid4()}", json={"title": "new"}).status_code == 201
    assert alice.delete("/api/trash").status_code == 204
    for arguments in (["export", alice.user_id], ["delete", alice.user_id, "--yes"]):
        assert app.test_cli_runner().invoke(args=["user", *arguments]).exit_code == 0
    assert app.test_client().get("/readyz").status_code == 503, "anyone may create objects in the search path"
    assert own_database.run("SELECT * FROM public.stolen") == []


def test_a_taken_id_is_503_and_the_log_has_the_cure(
    own_database: Database, app: Flask, alice: Caller, log: Log
) -> None:
    """The sequence is as in a logical replica that was promoted: replication does not move it."""
    ids = [alice.add()["id"] for _ in range(3)]
    own_database.run(
        "INSERT INTO todo.tasks (user_id, title) SELECT 'u', 't' FROM generate_series(1, 200); ANALYZE todo.tasks"
    )
    own_database.run("ALTER SEQUENCE todo.tasks_id_seq RESTART")
    read_problem(app.test_client().get("/readyz"), 503)
    for headers in ({}, {"Idempotency-Key": "k"}):
        log_before = len(log.lines)
        read_internal_problem(alice.post("/api/tasks", json={"title": "new"}, headers=headers), 503)
        assert "flask after-restore" in log.lines[log_before]["message"]
    cured = invoke("after-restore", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url()})
    assert cured.exit_code == 0, cured.stderr
    assert app.test_client().get("/readyz").status_code == 200
    assert read_task(alice.post("/api/tasks", json={"title": "new"}, headers=headers), 201)["id"] > max(ids)

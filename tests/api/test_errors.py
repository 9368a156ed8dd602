"""Internal errors: 500 or 503 without internal details, and the cause in the log."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DataError

from tests.support.callers import Caller, read_internal_problem, read_task
from tests.support.databases import Database, closing_pool
from tests.support.logs import Log
from todo import create_app
from todo.database import isolation
from todo.database.statements import Statement
from todo.web import problems


@pytest.fixture
def caller(own_database: Database) -> Iterator[Caller]:
    """A client of a service whose database the test breaks."""
    settings = own_database.settings()
    with closing_pool(create_app(settings)) as app:
        yield Caller(app.test_client(), settings)


def test_a_500_hides_the_cause_and_the_log_has_its_request_id(own_database: Database, caller: Caller, log: Log) -> None:
    own_database.run("REVOKE INSERT ON todo.tasks FROM todo_app")
    response = caller.post("/api/tasks", json={"title": "a private title"})
    problem = read_internal_problem(response, 500)
    [line] = log.find(request_id=problem["request_id"])
    assert (line["level"], line["message"]) == ("error", "POST /api/tasks failed")
    assert line["error"] == "InsufficientPrivilege 42501: permission denied for table tasks"
    assert "queries.py" in line["traceback"]
    assert "a private title" not in log.text


def test_a_database_without_migrations_is_503_and_logs_a_hint(
    empty_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    settings = empty_database.settings()
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        read_internal_problem(caller.get("/api/tasks"), 503)
        assert "Is the database migrated? GET /readyz" in caplog.text
        empty_database.migrate()
        assert caller.titles() == []


def test_errors_that_quote_user_text_are_not_logged(app: Flask, alice: Caller, log: Log) -> None:
    statement: Statement[Any] = Statement(text("SELECT CAST(:title AS bigint)"))
    with app.test_request_context(), pytest.raises(DataError) as caught:
        isolation.fetch(alice.user_id, statement, {"title": alice.user_id})
    assert alice.user_id in str(caught.value.orig)
    with app.test_request_context():
        problems.handle_unforeseen(caught.value)
    assert alice.user_id not in log.text
    assert log.lines[0]["error"].startswith("InvalidTextRepresentation 22P02: (not logged")


def test_an_unreachable_database_is_503_with_retry_after(database: Database, log: Log) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    url = database.url(host="127.0.0.1", port=port, query={})
    settings = database.settings(database_url=url)
    caller = Caller(create_app(settings).test_client(), settings)
    response = caller.get("/api/tasks")
    problem = read_internal_problem(response, 503)
    assert int(response.headers["Retry-After"]) > 0
    assert str(port) not in response.text
    [line] = log.find(request_id=problem["request_id"])
    assert line["message"].startswith("The database is unavailable: OperationalError: connection to server")
    assert "test@" not in log.text


@pytest.mark.parametrize("seconds", [{"lock_seconds": 1}, {"statement_seconds": 1}])
def test_a_statement_that_waits_too_long_is_503(own_database: Database, seconds: dict[str, Any]) -> None:
    settings = own_database.settings(**seconds)
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        path = f"/api/tasks/{caller.add()['id']}"
        with own_database.transaction() as execute:
            execute("LOCK TABLE todo.tasks")
            started = time.monotonic()
            read_internal_problem(caller.patch(path, json={"title": "waits"}), 503)
            assert 0.9 < time.monotonic() - started < 2
        assert read_task(caller.get(path))["title"] == "Buy milk"


def test_a_plain_request_id_is_kept(alice: Caller) -> None:
    response = alice.get("/api/tasks", headers={"X-Request-ID": "from-the_proxy.1"})
    assert response.headers["X-Request-ID"] == "from-the_proxy.1"
    for odd in ("a b", "x" * 65, "é", "<script>", ""):
        assert alice.get("/api/tasks", headers={"X-Request-ID": odd}).headers["X-Request-ID"] != odd


def test_request_ids_are_unique(alice: Caller) -> None:
    assert len({alice.get("/api/tasks").headers["X-Request-ID"] for _ in range(3)}) == 3

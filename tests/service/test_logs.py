"""The log of a service that is used, attacked, broken and restarted."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ROOT, call, free_port, run, serve
from tests.support.databases import SECRET, Database, Server
from tests.support.logs import Line, Log
from tests.support.misuse import PASSWORD, PRIVATE, USER, Scenario
from todo.auth.tokens import issue_token

OPERATING = (ROOT / "docs" / "operating.md").read_text()


@pytest.fixture(scope="module")
def scenario(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    folder = tmp_path_factory.mktemp("logs")
    with server.database(migrated=True) as database:
        scenario = Scenario(database, folder)
        arguments = ("--bind", f"127.0.0.1:{scenario.port}", "--workers=2", "--log-level=debug")
        with serve(scenario.port, *arguments, settings=scenario.settings, log=folder / "log") as service:
            scenario.use()
            scenario.attack()
            scenario.break_it()
            scenario.restart(service)
        yield scenario


@pytest.fixture
def log(scenario: Scenario) -> Log:
    return scenario.log


@pytest.fixture
def find_one(log: Log) -> Callable[..., Line]:
    """Return the only line with these fields."""

    def find_one(**fields: Any) -> Line:
        [line] = log.find(**fields)
        return line

    return find_one


def test_a_request_is_one_line_with_route_status_and_time(find_one: Callable[..., Line]) -> None:
    line = find_one(request_id="a-list")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 < line.pop("ms") < 10_000
    assert line.pop("pid") > 1
    assert re.fullmatch("[0-9a-f]{12}", line.pop("user"))
    assert line == {
        "level": "info", "message": "request", "request_id": "a-list", "method": "GET", "route": "/api/tasks",
        "status": 200, "bytes": 2,
    }  # fmt: skip


def test_a_user_has_one_hash_which_log_name_prints(scenario: Scenario, log: Log) -> None:
    users = {line["user"] for line in log.requests if line["status"] == 200}
    named = run("flask", "log-name", USER, settings=scenario.settings)
    assert users == {named.stdout.strip()}


def test_the_route_is_logged_and_not_the_path(log: Log, find_one: Callable[..., Line]) -> None:
    assert find_one(request_id="a-task")["route"] == "/api/<user_id>/tasks/<task_id>"
    assert {line["route"] for line in log.requests} == {
        None, "/api/tasks", "/api/tasks/<task_id>", "/api/<user_id>/tasks/<task_id>"
    }  # fmt: skip
    assert {line["method"] for line in log.requests} == {"GET", "POST", "other"}


def test_no_token_secret_or_user_text_is_logged(scenario: Scenario, log: Log) -> None:
    assert [
        word for word in (PRIVATE, PRIVATE.upper(), PASSWORD, SECRET, USER, scenario.token) if word in log.text
    ] == []
    assert not re.search(r"eyJ|Bearer|Authorization|search=|\\u001b", log.text)


def test_input_cannot_break_lines_or_control_a_terminal(log: Log) -> None:
    assert re.fullmatch(r"[\n -~]*", log.text)
    assert len(log.lines) > 20


def test_requests_that_gunicorn_refuses_are_logged(log: Log) -> None:
    refused = [line for line in log.requests if "refusal" in line]
    assert [(line["status"], line["refusal"]) for line in refused] == [
        (400, "InvalidHeader"), (400, "InvalidHeader"), (400, "InvalidHTTPVersion"),
        (414, "LimitRequestLine"), (431, "LimitRequestHeaders"), (501, "UnsupportedTransferCoding"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "error", "where"),
    [
        ("a-row-refused", "CheckViolation 23514: (not logged: it may quote what a user wrote)", "queries.py"),
        ("a-time-without-end", "ValueError: (not logged: it may quote what a user wrote)", "in write_time"),
    ],
)
def test_a_500_logs_one_error_with_its_traceback(log: Log, number: str, error: str, where: str) -> None:
    failure, request = log.find(request_id=number)
    assert (failure["level"], failure["error"]) == ("error", error)
    assert where in failure["traceback"]
    assert (request["message"], request["status"]) == ("request", 500)


@pytest.mark.parametrize(
    ("number", "cause"),
    # PgBouncer has its own message for a login that is not permitted.
    [("too-slow", "canceling statement due to"), ("no-database", "is not permitted to log in|no such user")],
)
def test_a_503_logs_one_warning_with_its_cause(log: Log, number: str, cause: str) -> None:
    warning, request = log.find(request_id=number)
    assert warning["level"] == "warning"
    assert re.search(cause, warning["message"])
    assert request["status"] == 503


def test_successful_probes_are_not_logged(log: Log) -> None:
    assert [line for line in log.requests if line["route"] in {"/healthz", "/readyz"}] == []


def test_the_start_and_end_of_workers_are_logged(log: Log) -> None:
    messages = [line["message"] for line in log.lines]
    assert [message for message in messages if message.startswith("Listening at: http://127.0.0.1")]
    assert len([message for message in messages if message.startswith("Booting worker")]) == 6
    assert [message for message in messages if "sent SIGKILL! Perhaps out of memory?" in message]
    [hung] = log.find(level="critical")
    assert "wait_for_and_dispatch_events" in hung["traceback"]
    assert messages[-1] == "Shutting down: Master"


def test_every_field_of_the_log_is_documented(log: Log) -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| (?:all|events|what belongs|errors|requests)", OPERATING, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"\w+", row)}
    assert explained == {name for line in log.lines for name in line}


def test_a_request_cut_off_by_a_stop_is_logged_with_its_traceback(database: Database, tmp_path: Path) -> None:
    port, log = free_port(), Log((tmp_path / "log").read_text)
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "LOCK_SECONDS": "9", "WORKER_SECONDS": "2"}
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers=1")
    with database.transaction() as execute:
        execute("LOCK TABLE todo.tasks")
        with serve(port, *arguments, settings=settings, log=tmp_path / "log") as service:
            client = socket.create_connection(("127.0.0.1", port))
            token = issue_token(database.settings(), "somebody", 600)
            client.sendall(f"GET /api/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            time.sleep(0.5)
            service.terminate()
            service.wait(30)
            client.close()
    [line] = log.find(message="Stopped with 1 connections not answered")
    assert "in list_tasks" in line["traceback"]


def test_a_log_that_cannot_be_written_stops_no_request(database: Database) -> None:
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers=1", "--error-logfile=/dev/full")
    with serve(port, *arguments, settings=settings):
        assert [call(port, "GET", "/nothing").status for _ in range(3)] == [404] * 3

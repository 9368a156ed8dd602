"""The service as it is served: real gunicorn, real sockets, the commands that the README names."""

import http.client
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from tests.servers import SECRET, Database
from todo.auth import issue_token

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serve(port: int, *arguments: str, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """Run gunicorn as the README has it, until it answers."""
    service = subprocess.Popen(
        [BIN / "gunicorn", "wsgi:app", *arguments], cwd=ROOT, env=os.environ | {"BETTER_AUTH_SECRET": SECRET} | environ,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while service.poll() is None and time.monotonic() < deadline:
            try:
                assert call(port, "GET", "/healthz").status == 200
            except OSError:
                time.sleep(0.05)
            else:
                break
        yield service
    finally:
        service.terminate()
        service.wait(30)
        if service.stdout:
            service.stdout.close()


def call(port: int, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


def body_of(response: http.client.HTTPResponse) -> Any:
    return json.loads(response.body)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def port(database: Database) -> Iterator[int]:
    port = free_port()
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "2", NEON_DB_URL=database.url()):
        yield port


@pytest.fixture
def authorization(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, 'served', 600)}"}


def test_it_is_ready(port: int) -> None:
    assert body_of(call(port, "GET", "/readyz")) == {"status": "ready"}


def test_a_chunked_body_is_taken_and_a_large_one_is_413(port: int, authorization: dict[str, str]) -> None:
    headers = authorization | {"Content-Type": "application/json"}
    taken = call(port, "POST", "/api/tasks", iter([b'{"title": ', b'"in pieces"}']), **headers)
    assert (taken.status, body_of(taken)["title"]) == (201, "in pieces")
    refused = call(port, "POST", "/api/tasks", iter([b'{"title": "x"}'] + [b" " * 1024] * 70), **headers)
    assert (refused.status, body_of(refused)["title"]) == (413, "Request Entity Too Large")


def test_a_connection_serves_many_requests_and_many_users(port: int, settings: Settings) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for user_id in ("one", "two") * 5:
        token = issue_token(settings, user_id, 600)
        connection.request(
            "POST",
            "/api/tasks",
            '{"title": "x"}',
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        assert json.loads(connection.getresponse().read())["user_id"] == user_id
        connection.request("DELETE", "/api/tasks/1000000000", headers={"Authorization": f"Bearer {token}"})
        assert json.loads(connection.getresponse().read())["status"] == 404
        connection.request("GET", "/api/tasks")
        assert json.loads(connection.getresponse().read())["status"] == 401
    connection.close()


def test_two_authorization_headers_are_refused(port: int, authorization: dict[str, str]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        line = f"Authorization: {authorization['Authorization']}\r\n"
        client.sendall(f"GET /api/tasks HTTP/1.1\r\nHost: x\r\n{line}{line}Connection: close\r\n\r\n".encode())
        assert client.recv(100).split()[1] in {b"400", b"401"}


def test_a_header_of_a_million_characters_is_refused_and_does_no_harm(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client, suppress(ConnectionError):
        client.sendall(b"GET /api/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"a" * 1_000_000 + b"\r\n\r\n")
        assert client.recv(100).split()[1] in {b"400", b"431"}
    assert call(port, "GET", "/healthz").status == 200


def test_the_line_to_paste_creates_a_task_and_no_token_is_printed_unasked(database: Database) -> None:
    port = free_port()
    served = {"NEON_DB_URL": database.url(), "PORT": str(port), "WEB_CONCURRENCY": "1"}
    with serve(port, TRYING_OUT="1", **served) as service:
        line = next(line for line in service.stdout or [] if line.startswith("curl"))
        answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
        task = json.loads(answer.stdout)
        assert (task["user_id"], task["title"]) == ("alice", "Buy milk")
    with serve(port, **served) as service:
        service.terminate()
        assert "Bearer" not in (service.stdout.read() if service.stdout else "")


def test_a_setting_that_cannot_be_read_stops_it_at_once_with_one_line(database: Database) -> None:
    for wrong, name in (({"PORT": "x"}, "PORT"), ({"BETTER_AUTH_SECRET": "short"}, "BETTER_AUTH_SECRET")):
        environ = os.environ | {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()} | wrong
        service = subprocess.run(
            [BIN / "gunicorn", "wsgi:app"],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert service.returncode != 0
        assert service.stderr.startswith(f"Error: {name} ")
        assert service.stderr.count("\n") == 1


def test_every_command_of_the_makefile_is_in_the_readme() -> None:
    readme, makefile = ((ROOT / name).read_text() for name in ("README.md", "Makefile"))
    for target in re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE):
        if target != "help":
            assert f"make {target}" in readme, target

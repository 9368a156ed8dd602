"""The service as it is served: real gunicorn, real sockets, the commands that the README names."""

import http.client
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from config import Settings
from tests.commands import BIN, ROOT, make_environment, run
from tests.servers import SECRET, Database
from todo.auth import issue_token


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serve(
    port: int, *arguments: str, settings: Mapping[str, str], cwd: Path = ROOT
) -> Iterator["subprocess.Popen[str]"]:
    """Run gunicorn as the README has it, until it answers."""
    service = subprocess.Popen(
        [BIN / "gunicorn", "wsgi:app", *arguments],
        cwd=cwd,
        env=make_environment({"BETTER_AUTH_SECRET": SECRET, **settings}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
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


class Answer(NamedTuple):
    status: int
    body: Any


def call(port: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    answer = Answer(response.status, json.loads(response.read()))
    connection.close()
    return answer


@pytest.fixture(scope="module")
def port(database: Database) -> Iterator[int]:
    port = free_port()
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "2", settings={"NEON_DB_URL": database.url()}):
        yield port


@pytest.fixture
def authorization(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, 'served', 600)}"}


def test_it_is_ready(port: int) -> None:
    assert call(port, "GET", "/readyz").body == {"status": "ready"}


def test_a_chunked_body_is_taken_and_a_large_one_is_413(port: int, authorization: dict[str, str]) -> None:
    headers = authorization | {"Content-Type": "application/json"}
    taken = call(port, "POST", "/api/tasks", iter([b'{"title": ', b'"in pieces"}']), **headers)
    assert (taken.status, taken.body["title"]) == (201, "in pieces")
    refused = call(port, "POST", "/api/tasks", iter([b'{"title": "x"}'] + [b" " * 1024] * 70), **headers)
    assert (refused.status, refused.body["title"]) == (413, "Request Entity Too Large")


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 50\r\n\r\n{}",
        b"Content-Length: 19\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}nonsense",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}",
    ],
)
def test_a_body_that_was_cut_short_is_400_and_changes_nothing(
    port: int, authorization: dict[str, str], body: bytes
) -> None:
    """Without its end, {"completed": true} would be no body, and that toggles."""
    headers = authorization | {"Content-Type": "application/json"}
    task = call(port, "POST", "/api/tasks", '{"title": "x"}', **headers).body
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        head = f"PATCH /api/tasks/{task['id']}/complete HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Authorization: {authorization['Authorization']}\r\n".encode() + body)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000).split()[1] == b"400"
    assert call(port, "GET", f"/api/tasks/{task['id']}", **authorization).body == task


def test_a_client_cannot_say_where_the_service_is_mounted(port: int, authorization: dict[str, str]) -> None:
    assert call(port, "GET", "/api/tasks", SCRIPT_NAME="/foo", **authorization).status == 200


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
    with serve(port, settings=served | {"TRYING_OUT": "1"}) as service:
        line = next(line for line in service.stdout or [] if line.startswith("curl"))
        answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
        task = json.loads(answer.stdout)
        assert (task["user_id"], task["title"]) == ("alice", "Buy milk")
    with serve(port, settings=served) as service:
        service.terminate()
        assert "Bearer" not in (service.stdout.read() if service.stdout else "")


def test_a_newcomer_needs_no_database(tmp_path: Path) -> None:
    """The service alone, in a folder of its own: the embedded PostgreSQL comes with it and goes with it."""
    home = tmp_path / "a new clone"
    home.mkdir()
    for name in ("config.py", "wsgi.py", "gunicorn.conf.py", ".flaskenv"):
        shutil.copy(ROOT / name, home)
    for name in ("todo", "embedded", "migrations"):
        shutil.copytree(ROOT / name, home / name)
    upgraded = run("flask", "db", "upgrade", cwd=home, settings={"BETTER_AUTH_SECRET": SECRET})
    assert upgraded.returncode == 0, upgraded.stderr
    port = free_port()
    served = {"PORT": str(port), "TRYING_OUT": "1", "WEB_CONCURRENCY": "2"}
    with serve(port, cwd=home, settings=served) as service:
        lines = [next(service.stdout) for _ in range(8)] if service.stdout else []
        assert any("Using the embedded PostgreSQL in" in line for line in lines)
        line = next(line for line in lines if line.startswith("curl"))
        task = json.loads(subprocess.run(shlex.split(line), capture_output=True, check=True).stdout)
        assert (task["user_id"], task["title"]) == ("alice", "Buy milk")
        assert call(port, "GET", "/readyz").status == 200
        service.send_signal(signal.SIGINT)
        service.wait(30)
    assert not (home / "instance" / "postgres" / "data" / "postmaster.pid").exists()


def test_a_setting_that_cannot_be_read_stops_it_at_once_with_one_line(database: Database) -> None:
    for wrong, name in (({"PORT": "x"}, "PORT"), ({"BETTER_AUTH_SECRET": "short"}, "BETTER_AUTH_SECRET")):
        settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()} | wrong
        service = run("gunicorn", "wsgi:app", settings=settings)
        assert service.returncode != 0
        assert service.stderr.startswith(f"Error: {name} ")
        assert service.stderr.count("\n") == 1


def test_every_command_of_the_makefile_is_in_the_readme() -> None:
    readme, makefile = ((ROOT / name).read_text() for name in ("README.md", "Makefile"))
    for target in re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE):
        if target != "help":
            assert f"make {target}" in readme, target

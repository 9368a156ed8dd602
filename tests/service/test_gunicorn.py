"""The service on gunicorn with real sockets."""

import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from config import Settings
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database
from todo.auth.tokens import issue_token


@pytest.fixture(scope="module")
def port(database: Database) -> Iterator[int]:
    port = free_port()
    with serve(
        port,
        "--bind",
        f"127.0.0.1:{port}",
        "--workers",
        "2",
        settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()},
    ):
        yield port


@pytest.fixture
def authorization(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, 'served', 600)}"}


def test_the_service_is_ready(port: int) -> None:
    assert call(port, "GET", "/readyz").body == {"status": "ready"}


def test_a_chunked_body_is_accepted_up_to_the_limit(port: int, authorization: dict[str, str]) -> None:
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
def test_a_truncated_body_is_400_and_changes_nothing(port: int, authorization: dict[str, str], body: bytes) -> None:
    """Without its end, {"completed": true} would count as no body, which toggles."""
    headers = authorization | {"Content-Type": "application/json"}
    task = call(port, "POST", "/api/tasks", '{"title": "x"}', **headers).body
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        head = f"PATCH /api/tasks/{task['id']}/complete HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Authorization: {authorization['Authorization']}\r\n".encode() + body)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000).split()[1] == b"400"
    assert call(port, "GET", f"/api/tasks/{task['id']}", **authorization).body == task


def test_a_client_cannot_set_script_name(port: int, authorization: dict[str, str]) -> None:
    assert call(port, "GET", "/api/tasks", SCRIPT_NAME="/foo", **authorization).status == 200


def test_a_connection_serves_requests_of_several_users(port: int, settings: Settings) -> None:
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


def test_open_connections_delay_no_request(port: int, authorization: dict[str, str]) -> None:
    """More connections than threads: concurrent, sequential and silent."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(40)]
    slowest = 0.0
    for number in range(400):
        connection = connections[number % len(connections) if number % 3 else 0]
        started = time.monotonic()
        connection.request("GET", "/api/tasks?limit=1", headers=authorization)
        assert connection.getresponse().read()
        slowest = max(slowest, time.monotonic() - started)
    for connection in connections:
        connection.request("GET", "/api/tasks?limit=1", headers=authorization)
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()
    assert slowest < 3


def test_clients_that_send_or_close_nothing_delay_no_request(port: int, authorization: dict[str, str]) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(60)]
        for client in clients[:30]:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        started = time.monotonic()
        assert call(port, "GET", "/api/tasks?limit=1", **authorization).status == 200
        assert time.monotonic() - started < 4
        for client in clients[:30]:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        clients[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")  # An idle connection can still send a request.
        assert clients[-1].recv(100).startswith(b"HTTP/1.1 200")


def test_the_longest_idle_connection_is_closed_for_a_new_one(settings: Settings, tmp_path: Path) -> None:
    environment = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": str(settings.database_url)}
    port = free_port()
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers=1", "--threads=2", "--worker-connections=10")
    with serve(port, *arguments, settings=environment, log=tmp_path / "log"), ExitStack() as stack:
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(30)]
        for connection in connections:
            stack.callback(connection.close)
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            assert response.getheader("Connection") == "keep-alive"
            assert response.read()
        assert connections[0].sock.recv(1) == b""
        connections[-1].request("GET", "/healthz")
        assert connections[-1].getresponse().status == 200


def test_pipelined_requests_are_answered_in_order(port: int, authorization: dict[str, str]) -> None:
    """Pipelining: the client sends the next request before it gets the response."""
    request = f"GET /%s HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization['Authorization']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client, client.makefile("rb") as stream:
        client.sendall((request % "healthz" + request % "api/tasks?limit=1" + request % "nothing").encode())
        statuses: list[bytes] = []
        while len(statuses) < 3:
            statuses.append(stream.readline().split()[1])
            headers = list(iter(stream.readline, b"\r\n"))
            length = next(int(line.split()[1]) for line in headers if line.lower().startswith(b"content-length"))
            stream.read(length)
    assert statuses == [b"200", b"200", b"404"]


def test_two_authorization_headers_are_refused(port: int, authorization: dict[str, str]) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        line = f"Authorization: {authorization['Authorization']}\r\n"
        client.sendall(f"GET /api/tasks HTTP/1.1\r\nHost: x\r\n{line}{line}Connection: close\r\n\r\n".encode())
        assert client.recv(100).split()[1] in {b"400", b"401"}


def test_a_transfer_encoding_of_gzip_is_415(port: int, authorization: dict[str, str]) -> None:
    body = gzip.compress(b'{"title": "x"}')
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    headers = {**authorization, "Content-Type": "application/json", "Transfer-Encoding": "gzip, chunked"}
    answer = call(port, "POST", "/api/tasks", chunked, **headers)
    assert (answer.status, "Transfer-Encoding" in answer.body["detail"]) == (415, True)


def test_errors_of_gunicorn_have_cors_headers(port: int) -> None:
    for answer in (call(port, "GET", "/api/tasks", Authorization="a" * 140_000), call(port, "GET", f"/{'a' * 70_000}")):
        assert answer.status in {414, 431}
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


def test_a_header_of_a_million_characters_is_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client, suppress(ConnectionError):
        client.sendall(b"GET /api/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"a" * 1_000_000 + b"\r\n\r\n")
        assert client.recv(100).split()[1] in {b"400", b"431"}
    assert call(port, "GET", "/healthz").status == 200

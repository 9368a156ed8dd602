"""Requests as proxies, browsers and programs send them: served if they can be, else refused with what to send."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from gunicorn.http import errors  # type: ignore[import-untyped]

from config import Settings
from server.refusals import NOT_HTTP, RESPONSES, SERVER_ERRORS
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database
from todo.auth.tokens import issue_token

ORIGIN = "http://localhost:3000"
# The protocols of these are off, or cannot be on in this service.
OFF = {
    errors.InvalidProxyLine, errors.InvalidProxyHeader, errors.ForbiddenProxyRequest, errors.InvalidSchemeHeaders,
    errors.InvalidH2CPreface,
}  # fmt: skip


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def detail(self) -> str:
        return str(self.body["detail"])


class Sender:
    """Sends requests byte by byte as they are given, with the token of a user who has two tasks."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.authorization = port, f"Bearer {token}"
        for title in "ab":
            headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
            assert call(port, "POST", "/api/tasks", json.dumps({"title": title}), **headers).status == 201

    def send(self, first_line: str, *headers: str, body: str = "", host: str | None = "todo.example") -> Reply:
        lines = [first_line, *([] if host is None else [f"Host: {host}"]), f"Authorization: {self.authorization}"]
        text = "\r\n".join([*lines, *headers, "Connection: close", "", body])
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=10)) as client:
            client.sendall(text.encode())
            with client.makefile("rb") as stream:
                status = int(stream.readline().split()[1])
                pairs = [line.decode().split(": ", 1) for line in iter(stream.readline, b"\r\n")]
                given = {name.lower(): value.strip() for name, value in pairs}
                content = stream.read(int(given.get("content-length", 0)))
        return Reply(status, given, json.loads(content) if content else None)


@pytest.fixture(scope="module")
def sender(database: Database) -> Iterator[Sender]:
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "WEB_CONCURRENCY": "1"}
    with serve(port, settings=settings | {"PORT": str(port), "HOST": "127.0.0.1"}):
        yield Sender(port, issue_token(Settings(better_auth_secret=SECRET), "unusual", 600))


@pytest.mark.parametrize("name", ["Cookie", "traceparent", "x-forwarded-client-cert"])
@pytest.mark.parametrize(("size", "status"), [(8_400, 200), (100_000, 200), (132_000, 431)])
def test_a_header_may_have_100_kb(sender: Sender, name: str, size: int, status: int) -> None:
    reply = sender.send("GET /api/tasks HTTP/1.1", f"{name}: {'a' * size}")
    assert reply.status == status
    if status == 431:
        assert "All headers together exceed 128 KiB" in reply.detail


def test_all_headers_together_have_a_limit(sender: Sender) -> None:
    headers = [f"X-Many-{number}: {'a' * 30_000}" for number in range(4)]
    assert sender.send("GET /api/tasks HTTP/1.1", *headers).status == 200
    assert sender.send("GET /api/tasks HTTP/1.1", *headers, headers[0]).status == 431


@pytest.mark.parametrize(("path", "status"), [("/api/tasks", 413), ("/api/nothing", 404), ("/healthz", 405)])
def test_a_response_before_a_large_body_ends_the_connection(sender: Sender, path: str, status: int) -> None:
    for size, connection in ((65_535, None), (65_537, "close")):
        client = http.client.HTTPConnection("127.0.0.1", sender.port, timeout=10)
        headers = {"Authorization": sender.authorization, "Content-Type": "application/json"}
        client.request("POST", path, f'"{"x" * (size - 2)}"', headers)
        with client.getresponse() as response:
            assert response.status == (status if size > 65_536 or status != 413 else 400)
            assert (response.getheader("Connection") == "close") == (connection == "close")
        client.close()


@pytest.mark.parametrize("method", ["patch", "Patch", "get", "options", "head"])
def test_a_method_in_lower_case_is_405_readable_by_the_page(sender: Sender, method: str) -> None:
    reply = sender.send(f"{method} /api/tasks/1 HTTP/1.1", f"Origin: {ORIGIN}")
    assert (reply.status, reply.detail) == (405, f"Write the method in capitals: {method.upper()}.")
    assert set(reply.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}
    assert reply.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("method", ["brew", "M", "PROPFIND", "a#b", "A" * 30])
def test_an_unknown_method_is_405_with_allow(sender: Sender, method: str) -> None:
    reply = sender.send(f"{method} /api/tasks HTTP/1.1")
    assert (reply.status, set(reply.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS", "POST"})


def test_a_method_in_lower_case_on_an_unknown_path_is_404(sender: Sender) -> None:
    assert sender.send("get /api/nothing HTTP/1.1").status == 404


@pytest.mark.parametrize("path", ["/api/tasks?search=Äpfel", "/api/tasks?search=a b", "/api/täsks", "/api/ tasks"])
def test_raw_characters_in_a_url_are_400_and_explained(sender: Sender, path: str) -> None:
    reply = sender.send(f"GET {path} HTTP/1.1")
    assert reply.status == 400
    assert "percent-encode spaces as %20 and other characters as UTF-8 (%C3%A9)" in reply.detail
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("first_line", "header", "status", "advice"),
    [
        ("GET /api/tasks HTTP/9.9", "X: y", 400, "The first line must be a method, a path and HTTP/1.1."),
        ("GET /api/tasks", "X: y", 400, "The first line must be a method, a path and HTTP/1.1."),
        ("G(T /api/tasks HTTP/1.1", "X: y", 400, "such as GET, POST or PATCH"),
        ("GET /api/tasks HTTP/1.1", "X y", 400, "Send each as one line, Name: value"),
        ("GET /api/tasks HTTP/1.1", "Host: other.example", 400, "Send Host and Content-Type once"),
        ("GET /api/tasks HTTP/1.1", "Content-Length: x", 400, "Content-Length, a number"),
        ("GET /api/tasks HTTP/1.1", "X Y: z", 400, "Use letters, digits and hyphens"),
        ("GET /api/tasks HTTP/1.1", "X: y\r\n z", 400, "Send each header as one line"),
        ("GET /api/tasks HTTP/1.1", "Expect: tea", 417, "Leave it out"),
        ("GET /api/tasks HTTP/1.1", "Transfer-Encoding: br", 501, "Send the body as it is"),
        (f"GET /{'a' * 66000} HTTP/1.1", "X: y", 414, "Shorten the path or the query"),
        (f"GET /{'a' * 9000} HTTP/1.1", "X: y", 414, "Shorten them"),
    ],
)
def test_a_refusal_says_what_to_send(sender: Sender, first_line: str, header: str, status: int, advice: str) -> None:
    reply = sender.send(first_line, header)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert advice in reply.detail


@pytest.mark.parametrize(
    ("first_line", "headers", "status"),
    [
        (f"GET /{'a' * 66_000} HTTP/1.1", [f"Origin: {ORIGIN}"], 414),
        (f"GET /{'a' * 600_000} HTTP/1.1", [f"Origin: {ORIGIN}"], 414),
        ("GET /api/tasks HTTP/1.1", [f"Cookie: {'a' * 132_000}", f"Origin: {ORIGIN}"], 431),
        ("GET /api/tasks HTTP/1.1", [f"origin:{ORIGIN} ", *[f"X-{number}: y" for number in range(101)]], 431),
        ("GET /api/tasks HTTP/1.1", ["X Y: z", f"Origin: {ORIGIN}"], 400),
        ("GET /api/tasks?search=a b HTTP/1.1", [f"Origin: {ORIGIN}"], 400),
        ("POST /api/tasks HTTP/1.1", [f"Origin: {ORIGIN}", "Transfer-Encoding: br"], 501),
    ],
)
def test_a_page_with_credentials_can_read_a_refusal(
    sender: Sender, first_line: str, headers: list[str], status: int
) -> None:
    reply = sender.send(first_line, *headers)
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert reply.headers["access-control-allow-credentials"] == "true"
    others = [header.replace(ORIGIN, "https://other.example") for header in headers]
    reply = sender.send(first_line, *others)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, "*")


def test_every_error_of_gunicorn_has_its_advice() -> None:
    known = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)}
    known = {each for each in known if issubclass(each, errors.ParseException)} - {errors.ParseException}
    assert known == RESPONSES.keys() | set(SERVER_ERRORS) | OFF
    assert all(detail != NOT_HTTP[1] for _, detail in RESPONSES.values())


@pytest.mark.parametrize(
    "headers",
    [
        ["X-Forwarded-Proto: https", "X-Forwarded-Protocol: http"],
        ["X-Forwarded-Proto: https", "X-Forwarded-Protocol: https"],
        ["X-Forwarded-Proto: https", "X-Forwarded-SSL: off"],
        ["X-Forwarded-Proto: HTTPS"],
        ["X-Forwarded-Proto: wss", "Upgrade: websocket", "Connection: Upgrade"],
        ["X-Forwarded-SSL: on", "X-Forwarded-Protocol: ssl", "X-Forwarded-Proto: https"],
    ],
)
def test_x_forwarded_proto_decides_about_the_scheme(sender: Sender, headers: list[str]) -> None:
    reply = sender.send("GET /api/tasks?limit=1 HTTP/1.1", *headers)
    assert reply.status == 200
    assert reply.headers["link"].startswith("<https://todo.example/api/tasks?")


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.0"])
def test_an_upgrade_header_is_ignored(sender: Sender, upgrade: str) -> None:
    headers = [f"Upgrade: {upgrade}", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "HTTP2-Settings: AAMAAABk"]
    assert sender.send("GET /api/tasks HTTP/1.1", *headers).status == 200
    sent = [*headers, "Content-Type: application/json", "Content-Length: 14"]
    created = sender.send("POST /api/tasks HTTP/1.1", *sent, body='{"title": "u"}')
    assert created.status == 201
    changed = sender.send(f"PATCH /api/tasks/{created.body['id']} HTTP/1.1", *sent, body='{"title": "w"}')
    assert (changed.status, changed.body["title"]) == (200, "w")
    assert sender.send(f"DELETE /api/tasks/{created.body['id']} HTTP/1.1", *headers).status == 204


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (None, ""),
        ("todo.example", "http://todo.example"),
        ("todo_api:8000", "http://todo_api:8000"),
        ("x:", "http://x:"),
        ("", ""),
    ],
)
def test_location_and_link_have_the_host_of_the_request(sender: Sender, host: str | None, origin: str) -> None:
    listed = sender.send("GET /api/tasks?limit=1 HTTP/1.0", host=host)
    assert listed.headers["link"].startswith(f"<{origin}/api/tasks?limit=1&cursor=")
    headers = ["Content-Type: application/json", "Content-Length: 14", "Idempotency-Key: of-a-host"]
    created = sender.send("POST /api/tasks HTTP/1.0", *headers, body='{"title": "x"}', host=host)
    assert created.headers["location"] == f"{origin}/api/tasks/{created.body['id']}"

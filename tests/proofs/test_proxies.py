"""The service behind nginx and Caddy, with the very files of deploy/: HTTPS, links, slow clients, refusals."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from config import Settings
from tests.support.commands import free_port, serve
from tests.support.databases import SECRET, Database
from tests.support.proxies import INSTALLED, PROXIES, Proxy, nginx
from todo.auth.tokens import issue_token

THREADS = 2
only_nginx = pytest.mark.parametrize("proxy", ["nginx"], indirect=True)
needs_nginx = pytest.mark.skipif(not INSTALLED["nginx"], reason="nginx is not installed")


@pytest.fixture(scope="module")
def service_port(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "THREADS": str(THREADS)}
    log = tmp_path_factory.mktemp("log") / "log"
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "1", settings=settings, log=log):
        yield port


@pytest.fixture(params=list(PROXIES))
def proxy(request: pytest.FixtureRequest, service_port: int, tmp_path: Path) -> Iterator[Proxy]:
    if not INSTALLED[request.param]:
        pytest.skip(f"{request.param} is not installed")
    with PROXIES[request.param](service_port, tmp_path) as proxy:
        yield proxy


@pytest.fixture
def headers() -> dict[str, str]:
    token = issue_token(Settings(better_auth_secret=SECRET), f"proxied {uuid4().hex}", 600)
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


@pytest.fixture
def ask(proxy: Proxy, headers: dict[str, str]) -> Callable[..., tuple[HTTPResponse, Any]]:
    """Ask through the proxy, with a token unless it is said otherwise: the answer, and what its JSON says."""

    def ask(method: str, path: str, body: Any = None, **more: str) -> tuple[HTTPResponse, Any]:
        connection = proxy.connect()
        given = {name: value for name, value in (headers | more).items() if value}
        connection.request(method, path, body if body is None else json.dumps(body), given)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, json.loads(content) if content else None

    return ask


def read_problem(answer: tuple[HTTPResponse, Any], status: int) -> None:
    response, problem = answer
    assert (response.status, problem["status"]) == (status, status)
    assert response.getheader("Content-Type") == "application/problem+json"
    assert {"type", "title", "detail"} <= problem.keys()


def test_links_lead_back_through_the_proxy_whatever_the_client_says(ask: Any, proxy: Proxy) -> None:
    for title in ("one", "two"):
        assert ask("POST", "/api/tasks", {"title": title})[0].status == 201
    for lie in ({}, {"X-Forwarded-Prefix": "/else"}, {"X-Forwarded-Host": "else.example", "X-Forwarded-Proto": "http"}):
        response, [task] = ask("GET", "/api/tasks?limit=1", **lie)
        assert task["title"] == "two"
        assert response.getheader("Link").startswith(f"<https://localhost:{proxy.port}/api/tasks?")


def test_clients_that_send_slowly_hold_none_of_the_service_s_threads(
    ask: Any, proxy: Proxy, headers: dict[str, str]
) -> None:
    with ExitStack() as stack:
        for _ in range(4 * THREADS):
            connection = proxy.connect()
            stack.callback(connection.close)
            connection.putrequest("POST", "/api/tasks")
            for name, value in (headers | {"Content-Length": "1000"}).items():
                connection.putheader(name, value)
            connection.endheaders(b'{"title": "slow')
        time.sleep(0.3)
        started = time.monotonic()
        assert ask("GET", "/api/tasks")[0].status == 200
        assert time.monotonic() - started < 2


def test_refusals_come_through_as_they_are(ask: Any) -> None:
    read_problem(ask("GET", "/api/tasks", Authorization=""), 401)
    read_problem(ask("GET", "/api/tasks/0"), 404)
    read_problem(ask("POST", "/api/tasks", {"title": ""}), 422)
    read_problem(ask("POST", "/api/tasks", {"title": "x" * 100_000}), 413)


def test_whether_it_is_ready_is_nobody_s_business_outside(ask: Any) -> None:
    assert ask("GET", "/healthz")[0].status == 200
    connection_answer, _ = ask("HEAD", "/readyz")
    assert connection_answer.status == 404


@only_nginx
def test_without_tls_everybody_is_sent_to_where_it_is(proxy: Proxy) -> None:
    connection = HTTPConnection("localhost", proxy.plain_port, timeout=10)
    connection.request("POST", "/api/tasks")
    response = connection.getresponse()
    assert (response.status, response.getheader("Location")) == (308, "https://localhost/api/tasks")
    connection.close()


@only_nginx
def test_what_nginx_refuses_itself_has_the_same_shape(ask: Any) -> None:
    read_problem(ask("POST", "/api/tasks", {"title": "x" * 1_100_000}), 413)


@pytest.mark.parametrize("path", ["/readyz", "/readyz/", "/%72eadyz/", "/readyz//"])
def test_nobody_outside_has_the_database_asked_whether_it_is_ready(ask: Any, path: str) -> None:
    response, _ = ask("GET", path)
    assert response.status == 404


@needs_nginx
def test_while_the_service_is_away_the_answer_is_503_in_the_same_shape(tmp_path: Path) -> None:
    with nginx(free_port(), tmp_path) as proxy:
        connection = proxy.connect()
        connection.request("GET", "/api/tasks")
        response = connection.getresponse()
        read_problem((response, json.loads(response.read())), 503)
        assert response.getheader("Retry-After") == "5"
        connection.close()


@pytest.mark.parametrize("name", PROXIES)
def test_no_log_of_a_proxy_has_words_that_somebody_looks_for(
    name: str, headers: dict[str, str], tmp_path: Path
) -> None:
    if not INSTALLED[name]:
        pytest.skip(f"{name} is not installed")
    with PROXIES[name](free_port(), tmp_path) as proxy:  # The service is away.
        for method, body in [("GET", None), ("POST", b"x" * 2_000_000), *[("GET", None)] * 60]:
            connection = proxy.connect()
            with suppress(ConnectionError):
                connection.request(method, "/api/tasks?search=capybara", body, headers if body else {})
                assert connection.getresponse().status >= 400
            connection.close()
        if name == "nginx":
            plain = HTTPConnection("localhost", proxy.plain_port, timeout=10)
            plain.request("GET", "/api/tasks?search=capybara")
            assert plain.getresponse().status == 308
            plain.close()
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "capybara" not in logs
    assert "eyJ" not in logs


@only_nginx
def test_who_sends_no_token_is_limited_by_address_and_nobody_else(ask: Any) -> None:
    statuses = Counter(ask("GET", "/healthz", Authorization="")[0].status for _ in range(100))
    assert statuses.keys() == {200, 429}
    refused = ask("GET", "/healthz", Authorization="")
    if refused[0].status == 429:
        read_problem(refused, 429)
        assert refused[0].getheader("Retry-After") == "1"
    assert {ask("OPTIONS", "/api/tasks", Authorization="")[0].status for _ in range(20)} == {200}
    assert {ask("GET", "/api/tasks")[0].status for _ in range(20)} == {200}

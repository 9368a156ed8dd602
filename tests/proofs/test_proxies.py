"""The service behind nginx and Caddy with the files of deploy/: HTTPS, links, slow clients, errors."""

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
    """Send a request through the proxy, by default with a token. Return the response and its JSON."""

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


def test_links_use_the_url_of_the_proxy(ask: Any, proxy: Proxy) -> None:
    for title in ("one", "two"):
        assert ask("POST", "/api/tasks", {"title": title})[0].status == 201
    for lie in ({}, {"X-Forwarded-Prefix": "/else"}, {"X-Forwarded-Host": "else.example", "X-Forwarded-Proto": "http"}):
        response, [task] = ask("GET", "/api/tasks?limit=1", **lie)
        assert task["title"] == "two"
        assert response.getheader("Link").startswith(f"<https://localhost:{proxy.port}/api/tasks?")


def test_slow_clients_hold_no_threads_of_the_service(ask: Any, proxy: Proxy, headers: dict[str, str]) -> None:
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


def test_errors_of_the_service_pass_unchanged(ask: Any) -> None:
    read_problem(ask("GET", "/api/tasks", Authorization=""), 401)
    read_problem(ask("GET", "/api/tasks/0"), 404)
    read_problem(ask("POST", "/api/tasks", {"title": ""}), 422)
    read_problem(ask("POST", "/api/tasks", {"title": "x" * 100_000}), 413)


def test_readyz_is_not_public(ask: Any) -> None:
    assert ask("GET", "/healthz")[0].status == 200
    connection_answer, _ = ask("HEAD", "/readyz")
    assert connection_answer.status == 404


@only_nginx
def test_http_redirects_to_https(proxy: Proxy) -> None:
    connection = HTTPConnection("localhost", proxy.plain_port, timeout=10)
    connection.request("POST", "/api/tasks")
    response = connection.getresponse()
    assert (response.status, response.getheader("Location")) == (308, "https://localhost/api/tasks")
    connection.close()


@only_nginx
def test_errors_of_nginx_are_problems_too(ask: Any) -> None:
    read_problem(ask("POST", "/api/tasks", {"title": "x" * 1_100_000}), 413)


@pytest.mark.parametrize("path", ["/readyz", "/readyz/", "/%72eadyz/", "/readyz//"])
def test_requests_from_outside_do_not_reach_readyz(ask: Any, path: str) -> None:
    response, _ = ask("GET", path)
    assert response.status == 404


@needs_nginx
def test_an_unavailable_service_is_a_503_problem(tmp_path: Path) -> None:
    with nginx(free_port(), tmp_path) as proxy:
        connection = proxy.connect()
        connection.request("GET", "/api/tasks")
        response = connection.getresponse()
        read_problem((response, json.loads(response.read())), 503)
        assert response.getheader("Retry-After") == "5"
        connection.close()


@pytest.mark.parametrize("name", PROXIES)
def test_the_proxy_logs_no_search_words(name: str, headers: dict[str, str], tmp_path: Path) -> None:
    if not INSTALLED[name]:
        pytest.skip(f"{name} is not installed")
    with PROXIES[name](free_port(), tmp_path) as proxy:  # The service is down.
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
def test_requests_without_a_token_are_limited_by_address(ask: Any) -> None:
    statuses = Counter(ask("GET", "/healthz", Authorization="")[0].status for _ in range(100))
    assert statuses.keys() == {200, 429}
    refused = ask("GET", "/healthz", Authorization="")
    if refused[0].status == 429:
        read_problem(refused, 429)
        assert refused[0].getheader("Retry-After") == "1"
    assert {ask("OPTIONS", "/api/tasks", Authorization="")[0].status for _ in range(20)} == {200}
    assert {ask("GET", "/api/tasks")[0].status for _ in range(20)} == {200}

"""The service behind nginx and Caddy with the files of deploy/: HTTPS, links, slow clients, errors."""

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from ssl import SSLError, create_default_context
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.http import HTTP_STATUS_CODES

from config import Settings
from tests.support.commands import free_port, serve
from tests.support.databases import SECRET, Database
from tests.support.proxies import INSTALLED, PROXIES, Proxy
from todo.auth.tokens import issue_token

THREADS = 2
PAGE, NAMED = "https://any.example", "https://app.example"
only_nginx = pytest.mark.parametrize("proxy", ["nginx"], indirect=True)


@pytest.fixture(scope="module")
def service_port(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "THREADS": str(THREADS)}
    settings["CORS_ORIGINS"] = NAMED
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
        return exchange(proxy, method, path, body, **(headers | more))

    return ask


def exchange(proxy: Proxy, method: str, path: str, body: Any = None, **headers: str) -> tuple[HTTPResponse, Any]:
    connection = proxy.connect()
    given = {name: value for name, value in headers.items() if value}
    connection.request(method, path, body if body is None else json.dumps(body), given)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, json.loads(content) if content else None


def read_problem(answer: tuple[HTTPResponse, Any], status: int) -> dict[str, Any]:
    response, problem = answer
    assert (response.status, problem["status"]) == (status, status)
    assert response.getheader("Content-Type") == "application/problem+json"
    assert {"type", "title", "detail"} <= problem.keys()
    return dict(problem)


def read_own_problem(answer: tuple[HTTPResponse, Any], status: int, code: str) -> None:
    """Check an error of the proxy itself: it looks like one of the service, and any page may read it."""
    response, problem = answer
    assert read_problem(answer, status) == {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES[status],
        "status": status,
        "code": code,
        "detail": problem["detail"],
    }
    assert list_rights(response) == {"origin": [PAGE], "credentials": ["true"]}
    assert "Retry-After" in str(response.getheader("Access-Control-Expose-Headers"))
    assert response.getheader("Strict-Transport-Security") == "max-age=31536000"


def list_rights(response: HTTPResponse) -> dict[str, list[str]]:
    rights = {name: response.headers.get_all(f"Access-Control-Allow-{name}", []) for name in ("Origin", "Credentials")}
    return {name.lower(): values for name, values in rights.items()}


@pytest.mark.parametrize("size", [8_400, 32_000])
def test_long_cookies_pass_through(ask: Any, size: int) -> None:
    assert ask("GET", "/api/tasks", Cookie="a" * size)[0].status == 200


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
    for origin, rights in (
        (PAGE, {"origin": [], "credentials": []}),
        (NAMED, {"origin": [NAMED], "credentials": ["true"]}),
    ):
        for answer, status in (
            (ask("GET", "/api/tasks", Authorization="", Origin=origin), 401),
            (ask("GET", "/api/tasks/0", Origin=origin), 404),
            (ask("DELETE", "/api/tasks", Origin=origin), 405),
            (ask("POST", "/api/tasks", {"title": ""}, Origin=origin), 422),
            (ask("POST", "/api/tasks", {"title": "x" * 100_000}, Origin=origin), 413),
        ):
            read_problem(answer, status)
            assert list_rights(answer[0]) == rights
            assert len(answer[0].headers.get_all("Cache-Control", [])) == 1
            assert answer[0].getheader("X-Request-ID")


def test_readyz_is_not_public(ask: Any) -> None:
    assert ask("GET", "/healthz")[0].status == 200
    assert ask("HEAD", "/readyz")[0].status == 404
    read_own_problem(ask("GET", "/readyz", Origin=PAGE), 404, "not_found")


@only_nginx
def test_http_redirects_to_https(proxy: Proxy) -> None:
    connection = HTTPConnection("localhost", proxy.plain_port, timeout=10)
    connection.request("POST", "/api/tasks")
    response = connection.getresponse()
    assert (response.status, response.getheader("Location")) == (308, "https://localhost/api/tasks")
    connection.close()


@only_nginx
def test_requests_for_other_host_names_get_no_response(proxy: Proxy) -> None:
    plain = HTTPConnection("localhost", proxy.plain_port, timeout=10)
    for connection in (plain, proxy.connect()):
        connection.request("GET", "/api/tasks", headers={"Host": "evil.example"})
        with pytest.raises(ConnectionError):
            connection.getresponse()
        connection.close()
    context = create_default_context(cafile=str(proxy.certificate))
    with socket.create_connection(("localhost", proxy.port), timeout=10) as client, pytest.raises(SSLError):
        context.wrap_socket(client, server_hostname="evil.example")


def test_a_body_that_the_proxy_refuses_is_a_413_problem(ask: Any) -> None:
    # Only the length, since a client may be cut off while it sends the body.
    read_own_problem(ask("POST", "/api/tasks", Origin=PAGE, **{"Content-Length": "1048577"}), 413, "body_too_large")
    read_problem(ask("POST", "/api/tasks", {"title": "x" * (1024 * 1024 - 13)}), 413)  # Refused by the service.


@only_nginx
@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("TRACE", "/api/tasks", {}, 405, "method_not_allowed"),
        ("GET", "/api/tasks", {"X": "x" * 40_000}, 431, "header_too_large"),
        ("GET", "/api/tasks", {"Content-Length": "x"}, 400, "malformed_request"),
        ("POST", "/api/tasks", {"Transfer-Encoding": "gzip"}, 501, "not_implemented"),
    ],
)
def test_errors_of_nginx_are_problems_too(
    ask: Any, method: str, path: str, more: dict[str, str], status: int, code: str
) -> None:
    read_own_problem(ask(method, path, Origin=PAGE, **more), status, code)


@only_nginx
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("patch", "/api/tasks", 400, "malformed_request"),
        ("GET", f"/{'x' * 40_000}", 414, "request_line_too_long"),
    ],
)
def test_a_page_can_read_errors_of_the_request_line(ask: Any, method: str, path: str, status: int, code: str) -> None:
    response, problem = ask(method, path, Origin=PAGE)
    assert read_problem((response, problem), status)["code"] == code
    assert list_rights(response) == {"origin": ["*"], "credentials": []}  # nginx has not read the Origin header.


@only_nginx
def test_another_version_of_http_is_400(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HTTPConnection, "_http_vsn_str", "HTTP/9.9")
    assert read_problem(ask("GET", "/api/tasks", Origin=PAGE), 400)["code"] == "malformed_request"


@pytest.mark.parametrize("path", ["/readyz", "/readyz/", "/%72eadyz/", "/readyz//"])
def test_requests_from_outside_do_not_reach_readyz(ask: Any, path: str) -> None:
    response, _ = ask("GET", path)
    assert response.status == 404


@pytest.mark.parametrize("name", PROXIES)
def test_a_page_can_read_that_the_service_is_unavailable(name: str, tmp_path: Path) -> None:
    if not INSTALLED[name]:
        pytest.skip(f"{name} is not installed")

    preflight = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
    with PROXIES[name](free_port(), tmp_path) as proxy:
        response, body = exchange(proxy, "OPTIONS", "/api/tasks", Origin=PAGE, **preflight)
        assert (response.status, body) == (204, None)
        assert list_rights(response) == {"origin": [PAGE], "credentials": ["true"]}
        assert response.getheader("Access-Control-Allow-Methods") == "PATCH"
        assert response.getheader("Access-Control-Allow-Headers") == "authorization"
        assert response.getheader("Access-Control-Max-Age") is None  # The next call asks the service again.
        for headers in ({}, preflight):
            answer = exchange(proxy, "GET", "/api/tasks", Origin=PAGE, **headers)
            read_own_problem(answer, 503, "unavailable")
            assert answer[0].getheader("Retry-After") == "5"
        response, _ = exchange(proxy, "OPTIONS", "/api/tasks")
        assert (response.status, list_rights(response)) == (503, {"origin": ["*"], "credentials": []})


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
    statuses = Counter(ask("GET", "/healthz", Authorization="", Origin=PAGE)[0].status for _ in range(100))
    assert statuses.keys() == {200, 429}
    refused = ask("GET", "/healthz", Authorization="", Origin=PAGE)
    if refused[0].status == 429:
        read_own_problem(refused, 429, "rate_limited")
        assert refused[0].getheader("Retry-After") == "1"
    assert {ask("OPTIONS", "/api/tasks", Authorization="")[0].status for _ in range(20)} == {200}
    assert {ask("GET", "/api/tasks")[0].status for _ in range(20)} == {200}

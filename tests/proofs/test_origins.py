"""Pages of several origins in a real browser: which may call, send cookies, and read responses and errors."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext
from werkzeug.serving import make_server

from config import Settings
from tests.support.commands import free_port, serve
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.frontend import chromium
from tests.support.proxies import INSTALLED, PROXIES
from todo import create_app
from todo.auth.tokens import issue_token

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")

# Chromium resolves every name below localhost to this machine.
NAMED, PREVIEW = "http://localhost:{}", "http://app-git-x.preview.localhost:{}"
OTHERS = ("http://127.0.0.1:{}", "http://app-a.b.preview.localhost:{}", "http://other.preview.localhost:{}")
CALL = """async ([url, options]) => {
  try {
    const response = await fetch(url, options);
    const text = await response.text();
    const headers = Object.fromEntries(response.headers);
    return { status: response.status, headers, body: text ? JSON.parse(text) : null };
  } catch (error) {
    return { status: 0, error: error.name };
  }
}"""
Call = Callable[..., Any]


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_request(self, *arguments: Any) -> None:
        """Log nothing."""


@contextmanager
def in_background(server: Any) -> Iterator[int]:
    """Serve in a thread for the duration of a with statement; yield the port."""
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def page_port() -> Iterator[int]:
    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage)) as port:
        yield port


@pytest.fixture(scope="module")
def service(database: Database, page_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = free_port(), tmp_path_factory.mktemp("origins") / "service.log"
    settings = {
        "BETTER_AUTH_SECRET": SECRET,
        "NEON_DB_URL": database.url(),
        "CORS_ORIGINS": f"{NAMED},http://app-*.preview.localhost:{{}}".format(page_port, page_port),
    }
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "1", settings=settings, log=log):
        yield f"http://localhost:{port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def open_page(context: BrowserContext, page_port: int) -> Callable[[str], Call]:
    """Open a page of an origin. Return a function that calls a URL there as frontends do, by default with cookies."""
    token = issue_token(Settings(better_auth_secret=SECRET), "origins", 600)

    def open_page(origin: str) -> Call:
        page = context.new_page()
        page.goto(origin.format(page_port))
        page.evaluate("document.cookie = 'session=secret'")

        def call(method: str, url: str, body: Any = None, credentials: str = "include", **headers: str) -> Any:
            given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
            options = {"method": method, "headers": given, "credentials": credentials}
            options |= {} if body is None else {"body": json.dumps(body)}
            return page.evaluate(CALL, [url, options])

        return call

    return open_page


@pytest.mark.parametrize("origin", [NAMED, PREVIEW])
def test_a_page_of_a_named_origin_uses_every_operation(open_page: Any, service: str, origin: str) -> None:
    call, tasks = open_page(origin), f"{service}/api/tasks"
    created = [call("POST", tasks, {"title": "Buy milk"}, **{"Idempotency-Key": origin}) for _ in range(2)]
    assert [answer["status"] for answer in created] == [201, 201]
    assert created[1]["headers"]["idempotent-replayed"] == "true"
    assert created[0]["headers"]["location"].endswith(f"/api/tasks/{created[0]['body']['id']}")
    task, etag = f"{tasks}/{created[0]['body']['id']}", created[0]["headers"]["etag"]
    assert call("GET", task)["headers"]["etag"] == etag
    changed = call("PATCH", task, {"title": "Buy bread"}, **{"If-Match": etag})
    assert (changed["status"], changed["body"]["title"]) == (200, "Buy bread")
    assert call("PUT", task, {"priority": "high"})["status"] == 200
    assert call("PATCH", f"{task}/complete")["body"]["completed"] is True
    call("POST", tasks, {"title": "Another"})
    listed = call("GET", f"{tasks}?limit=1")
    assert 'rel="next"' in listed["headers"]["link"]
    assert listed["headers"]["x-request-id"]
    assert call("DELETE", task)["status"] == 204
    assert call("GET", tasks, credentials="omit")["status"] == 200


def test_a_page_of_a_named_origin_can_read_errors(open_page: Any, service: str) -> None:
    call, tasks = open_page(NAMED), f"{service}/api/tasks"
    for answer, status in (
        (call("GET", tasks, Authorization="Bearer x"), 401),
        (call("GET", f"{tasks}/0"), 404),
        (call("DELETE", f"{tasks}/0"), 404),
        (call("PUT", f"{service}/api/nothing", {}), 404),
        (call("DELETE", tasks), 405),
        (call("BREW", f"{tasks}/0"), 405),
        (call("POST", tasks, {"title": "x" * 100_000}), 413),
        (call("POST", tasks, {"title": "x"}, **{"Content-Type": "text/plain"}), 415),
        (call("POST", tasks, {}), 422),
        (call("GET", f"{tasks}?stauts=pending"), 422),
    ):
        assert (answer["status"], answer["body"]["status"]) == (status, status)
        assert answer["headers"]["content-type"] == "application/problem+json"
        assert (status == 401) == ("www-authenticate" in answer["headers"])
        assert (status == 405) == ("allow" in answer["headers"])


def test_a_page_can_read_that_its_url_is_too_long(open_page: Any, service: str) -> None:
    answer = open_page(NAMED)("GET", f"{service}/api/tasks?search={'x' * 9000}")
    assert (answer["status"], answer["body"]["code"]) == (414, "request_line_too_long")


def test_a_page_can_read_that_its_headers_are_too_long(open_page: Any, service: str) -> None:
    answer = open_page(NAMED)("GET", f"{service}/api/tasks", **{"X-Long": "x" * 140_000})
    assert (answer["status"], answer["body"]["code"]) == (431, "header_too_large")


def test_a_page_can_read_that_a_method_needs_capitals(open_page: Any, service: str) -> None:
    # fetch() converts get, post, put and delete to capitals, but not patch.
    answer = open_page(NAMED)("patch", f"{service}/api/tasks/0", {})
    assert answer["status"] == 405
    assert answer["body"]["detail"] == "Write the method in capitals: PATCH."
    assert "PATCH" in answer["headers"]["allow"]


def test_cookies_are_sent_and_ignored(open_page: Any, context: BrowserContext, service: str) -> None:
    call = open_page(NAMED)
    with context.expect_event("response") as sent:
        assert call("GET", f"{service}/api/tasks")["status"] == 200
    assert sent.value.request.all_headers()["cookie"] == "session=secret"
    assert call("GET", f"{service}/api/tasks", Authorization="")["status"] == 401


@pytest.mark.parametrize("origin", OTHERS)
def test_a_page_of_another_origin_cannot_call(open_page: Any, service: str, origin: str) -> None:
    call = open_page(origin)
    for credentials in ("include", "omit"):
        for method, path in (("GET", "tasks"), ("DELETE", "tasks"), ("GET", "nothing")):
            answer = call(method, f"{service}/api/{path}", credentials=credentials)
            assert answer == {"status": 0, "error": "TypeError"}


def test_an_open_service_allows_cookies_of_named_origins_only(
    open_page: Any, database: Database, page_port: int
) -> None:
    settings = database.settings(cors_origins=("*", NAMED.format(page_port)))
    with closing_pool(create_app(settings)) as app, in_background(make_server("127.0.0.1", 0, app, True)) as port:
        tasks = f"http://localhost:{port}/api/tasks"
        named, other = open_page(NAMED), open_page(OTHERS[0])
        assert [named("GET", tasks, credentials=each)["status"] for each in ("include", "omit")] == [200, 200]
        assert [other("GET", tasks, credentials=each)["status"] for each in ("include", "omit")] == [0, 200]


@pytest.mark.parametrize("name", PROXIES)
def test_a_page_can_read_errors_of_the_proxy(open_page: Any, name: str, tmp_path: Path) -> None:
    if not INSTALLED[name]:
        pytest.skip(f"{name} is not installed")
    with PROXIES[name](free_port(), tmp_path) as proxy:  # The service is down.
        call, tasks = open_page(NAMED), f"https://localhost:{proxy.port}/api/tasks"
        for method, body in (("GET", None), ("POST", {"title": "x"}), ("PATCH", {})):
            answer = call(method, tasks, body)
            assert (answer["status"], answer["body"]["code"]) == (503, "unavailable")
            assert answer["headers"]["retry-after"] == "5"
        answer = call("POST", tasks, {"title": "x" * 2_000_000})
        assert (answer["status"], answer["body"]["code"]) == (413, "body_too_large")
        # nginx reads methods itself; Caddy passes them on.
        assert call("patch", tasks, {}, "omit")["status"] == {"nginx": 400, "caddy": 503}[name]

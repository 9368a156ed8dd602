"""GET /api/docs in a real browser: enter a token and try the calls."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from config import Settings
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database
from tests.support.frontend import SCREENSHOTS, chromium
from todo.auth.tokens import issue_token

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")


def make_token(user_id: str) -> str:
    return issue_token(Settings(better_auth_secret=SECRET), user_id, 3600)


@pytest.fixture(scope="module")
def port(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port, log = free_port(), tmp_path_factory.mktemp("explorer") / "service.log"
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web")}
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "1", settings=settings, log=log):
        yield port


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, port: int) -> Iterator[Page]:
    """The page. Every test checks for requests to other hosts and violations of the page's policy."""
    # The document names an address that the page's policy forbids, as behind a proxy that sends a wrong one.
    other = {"X-Forwarded-Host": "other.example"}
    context = browser.new_context(
        base_url=f"http://localhost:{port}", color_scheme=request.param, extra_http_headers=other
    )
    context.set_default_timeout(15_000)
    asked: set[str] = set()
    complaints: list[str] = []
    context.on("request", lambda request: asked.add(request.url.split("/api/")[0]))
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.goto("/api/docs")
    expect(page.get_by_role("heading", name="Todo API")).to_be_visible()
    yield page
    context.close()
    assert {url.replace("//todo.", "//") for url in asked if not url.startswith("data:")} == {
        f"http://localhost:{port}"
    }
    # Chromium logs each failed call. A test that provokes one expects exactly this message.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def use_token(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Use it").click()


def execute(page: Page, operation: str) -> Locator:
    """Try an operation with its example values, and return the element of its response."""
    block = page.locator(f"#operations-tasks-{operation}")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Execute", exact=True).click()
    return block.locator("table.live-responses-table")


def test_a_click_creates_a_task_with_the_entered_token(page: Page, port: int, request: pytest.FixtureRequest) -> None:
    token = make_token("erin")
    use_token(page, f"Bearer {token}")
    expect(page.get_by_text("Accepted: you are erin, until")).to_be_visible()
    before = len(call(port, "GET", "/api/tasks", Authorization=f"Bearer {token}").body)
    answer = execute(page, "createTask")
    expect(answer).to_contain_text('"user_id": "erin"')
    expect(answer).to_contain_text("201")
    tasks = call(port, "GET", "/api/tasks", Authorization=f"Bearer {token}").body
    assert len(tasks) == before + 1
    assert tasks[0]["title"] == "Buy milk"
    # Two clicks create two tasks: no Idempotency-Key is sent unless the user enters one.
    page.get_by_role("button", name="Execute", exact=True).click()
    expect(answer).to_contain_text(f'"id": {tasks[0]["id"] + 1}')
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"explorer-{request.node.callspec.id}.png")


def test_a_refused_token_is_explained_and_a_missing_one_requested(page: Page) -> None:
    use_token(page, make_token("erin") + "x")
    expect(page.locator("#token-status")).to_have_text(
        "The token's signature is wrong; it was made with another key or secret."
    )
    use_token(page, "")
    expect(page.locator("#token-status")).to_contain_text("Needed for every call below.")
    expect(execute(page, "listTasks")).to_contain_text("No token: send it as")


def test_the_token_stays_in_its_tab(page: Page) -> None:
    use_token(page, make_token("erin"))
    expect(page.get_by_text("Accepted: you are erin")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Accepted: you are erin")).to_be_visible()
    other = page.context.new_page()
    other.goto("/api/docs")
    expect(other.locator("#token-status")).to_contain_text("Needed for every call below.")


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_a_token_in_the_link_is_used_and_leaves_no_trace(page: Page, port: int) -> None:
    """``make run`` prints such a link. Browsers send no fragment, so only the header of the page's own calls has it."""
    for user, navigate in (("frank", page.context.new_page), ("grace", lambda: page)):
        token, tab, urls = make_token(user), navigate(), list[str]()

        def note(request: Request, urls: list[str] = urls) -> None:
            urls.append(request.url + str(request.headers.get("referer")))

        tab.on("request", note)
        # The second link is opened in a tab with the page: the browser only changes the fragment.
        tab.goto(f"/api/docs#token={token}")
        expect(tab.get_by_text(f"Accepted: you are {user}, until")).to_be_visible()
        assert tab.url == f"http://localhost:{port}/api/docs"
        assert urls
        assert not any(token in url for url in urls)
        assert tab.get_by_label("Token").input_value() == token
        SCREENSHOTS.mkdir(exist_ok=True)
        tab.screenshot(path=SCREENSHOTS / "explorer-by-link.png")


def test_a_phone_needs_no_horizontal_scrolling(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_a_link_with_a_token_signs_nobody_in_elsewhere(page: Page, port: int) -> None:
    """Otherwise a person could create tasks in another account. Chromium resolves every name below localhost."""
    page.goto(f"http://todo.localhost:{port}/api/docs#token={make_token('mallory')}")
    expect(page.locator("#token-status")).to_contain_text("Needed for every call below.")
    assert page.get_by_label("Token").input_value() == ""
    assert page.url == f"http://todo.localhost:{port}/api/docs"


def test_the_keyboard_reaches_the_token_first(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(make_token("erin"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Accepted: you are erin")).to_be_visible()

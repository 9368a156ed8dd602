"""The code of the guides for frontends, in an application that Next.js builds, type-checks and serves."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.commands import ROOT, call, make_environment
from tests.support.databases import Server
from tests.support.frontend import FOLDER, Site, Visitor, find_missing, install, npm_in

missing = find_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))

PACKAGES = ROOT / "tests" / "frontend"
GUIDES = ("connect-nextjs.md", "connect-tanstack-query.md", "connect-better-auth.md")
# These variants need another package or another configuration of Better Auth.
OTHER = {"lib/auth.ts", "app/api/token/route.ts"}
BLOCK = re.compile(r"^```(?:tsx?|python)\n(?://|#) (\S+?\.\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def list_files() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file in the guides."""
    for guide in GUIDES:
        for path, note, text in BLOCK.findall((ROOT / "docs" / guide).read_text()):
            if path not in OTHER:
                yield path, text
            elif note == ", with API keys":
                import_ = 'import { given } from "./given";\n'
                yield path, import_ + text.replace("// …your database and ways to sign in", "...given,")


@pytest.fixture(scope="module")
def guides(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve an application with the files of the guides, in a folder below the example, whose packages it finds."""
    install()
    install(PACKAGES)
    folder = FOLDER / ".guides"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PACKAGES / "guides", folder)
    for name in ("lib", "app/api"):
        shutil.copytree(FOLDER / name, folder / name, ignore=shutil.ignore_patterns("*.test.ts"), dirs_exist_ok=True)
    for name in (".env", "tsconfig.json", "app/icon.svg"):
        shutil.copy(FOLDER / name, folder / name)
    shutil.copytree(PACKAGES / "node_modules" / "@tanstack", folder / "node_modules" / "@tanstack")
    for path, text in list_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    with server.database(migrated=True) as database:
        guides = Site(database, tmp_path_factory.mktemp("guides") / "outside.txt", folder=folder)
        for command in (("tsx", "migrate.ts"), ("next", "build")):
            done = npm_in(folder, "exec", "--", *command, **guides.settings)
            assert done.returncode == 0, done.stdout + done.stderr
        with guides.serve():
            yield guides
    shutil.rmtree(folder)


@pytest.fixture
def ada(guides: Site, browser: Browser) -> Iterator[Visitor]:
    """A user who is signed in."""
    ada = Visitor(guides, browser.new_context(base_url=guides.url))
    ada.create_account()
    yield ada
    ada.context.close()
    assert ada.complaints == []


def fill(visitor: Visitor, number: int) -> None:
    """Create tasks with one token, which is faster than the visitor's own calls."""
    token = visitor.context.request.get("/api/auth/token").json()["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for place in range(number):
        body = json.dumps({"title": f"Task {place}"})
        assert call(visitor.site.service_port, "POST", "/api/tasks", body, **headers).status == 201


def alert(page: Page) -> Locator:
    """Return the problem that the page shows. Next.js has an empty alert of its own."""
    return page.get_by_role("main").get_by_role("alert")


def test_server_components_and_actions_keep_the_token(ada: Visitor) -> None:
    page = ada.page
    texts: list[str] = []

    def note(route: Route) -> None:
        answer = route.fetch()
        texts.append(answer.text())
        route.fulfill(response=answer)

    page.route(f"{ada.site.url}/tasks**", note)
    fill(ada, 20)
    page.goto("/tasks")
    items, title = page.get_by_role("listitem"), page.get_by_role("textbox", name="New task")
    expect(items).to_have_count(20)

    def add(text: str) -> None:
        title.fill(text)
        page.get_by_role("button", name="Add").click()

    add("   ")
    expect(alert(page)).to_contain_text("1 to 200 characters")
    expect(title).to_have_value("   ")
    key = page.locator("input[name=key]")
    before = key.input_value()
    ada.site.stop_service()
    try:
        add("Buy milk")
        expect(alert(page)).to_have_text("The task service cannot be reached.")
    finally:
        ada.site.start_service()
    expect(title).to_have_value("Buy milk")
    assert key.input_value() == before
    page.get_by_role("button", name="Add").click()
    page.get_by_role("link", name="Next page").click()
    expect(items).to_have_count(1)
    assert key.input_value() != before

    [task] = ada.call("GET", "/api/tasks?search=milk")
    ada.call("PATCH", f"/api/tasks/{task['id']}", title="Buy bread")
    milk = items.first
    milk.get_by_role("button", name="Complete").click()
    expect(milk).to_contain_text("Buy bread")
    expect(milk).to_contain_text("It was changed meanwhile.")
    milk.get_by_role("button", name="Complete").click()
    expect(milk.get_by_role("button", name="Reopen")).to_be_visible()
    assert ada.call("GET", f"/api/tasks/{task['id']}")["completed"]

    assert ada.hosts == {f"localhost:{ada.site.port}"}
    assert any("Buy bread" in text for text in texts)
    assert [text for text in texts if "eyJ" in text] == []


def test_a_route_handler_answers_for_the_current_user(ada: Visitor) -> None:
    ada.call("POST", title="Later", due_date="2031-01-01")
    ada.call("POST", title="Sooner", due_date="2030-01-01")
    answer = ada.context.request.get("/api/due")
    assert [task["title"] for task in answer.json()] == ["Sooner", "Later"]
    assert answer.headers["cache-control"] == "private, no-store"
    ada.context.clear_cookies()
    assert ada.context.request.get("/api/due").status == 401
    ada.page.goto("/tasks")
    expect(ada.page.get_by_text("Sign in first.")).to_be_visible()


def test_tanstack_query_pages_adds_once_and_finds_conflicts(ada: Visitor) -> None:
    page = ada.page
    fill(ada, 25)
    page.goto("/query")
    items = page.get_by_role("listitem")
    expect(items).to_have_count(20)
    page.get_by_role("button", name="Load more").click()
    expect(items).to_have_count(25)

    held: list[Route] = []
    lost: list[int] = []

    def interfere(route: Route) -> None:
        if route.request.method == "POST" and len(lost) < 3:
            lost.append(route.fetch().status)
            route.abort()
        elif route.request.method == "PATCH" and not held:
            held.append(route)
        else:
            route.continue_()

    page.route(f"{ada.site.service_url}/**", interfere)
    page.get_by_role("textbox", name="New task").fill("Buy milk")
    page.get_by_role("button", name="Add").click()
    expect(alert(page)).to_have_text("The task service cannot be reached.")
    ada.forgive("ERR_FAILED")
    assert lost == [201] * 3
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("textbox", name="New task")).to_have_value("")
    expect(items).to_have_count(26)
    expect(alert(page)).to_have_count(0)

    milk = items.first
    milk.get_by_role("button", name="Urgent").click()
    expect(milk.get_by_role("button", name="Less urgent")).to_be_visible()
    assert ada.call("GET", "/api/tasks?search=milk")[0]["priority"] is None
    held[0].continue_()
    expect(milk.get_by_role("button", name="Less urgent")).to_be_enabled()
    [task] = ada.call("GET", "/api/tasks?search=milk")
    assert task["priority"] == "high"

    ada.call("PATCH", f"/api/tasks/{task['id']}", title="Buy bread")
    milk.get_by_role("button", name="Less urgent").click()
    expect(alert(page)).to_contain_text("It was changed meanwhile.")
    expect(milk).to_contain_text("Buy bread")
    expect(milk.get_by_role("button", name="Less urgent")).to_be_enabled()
    assert ada.call("GET", f"/api/tasks/{task['id']}")["priority"] == "high"
    ada.forgive("412")


def test_a_script_trades_its_api_key_until_it_is_revoked(ada: Visitor, tmp_path: Path) -> None:
    ada.call("POST", title="Water the plants", due_date="2026-12-31")
    ada.call("POST", title="Done", completed=True)

    def ask(path: str, **body: Any) -> dict[str, Any]:
        answer = ada.context.request.post(path, data=body, headers={"Origin": ada.site.url})
        assert answer.ok, answer.text()
        return dict(answer.json())

    def trade(key: str) -> tuple[int, dict[str, Any]]:
        answer = ada.context.request.post("/api/script-token", headers={"x-api-key": key})
        return answer.status, answer.json()

    def run(token: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the script, which already has this token."""
        settings = {"API_KEY": created["key"], "BETTER_AUTH_URL": ada.site.url, "API_URL": ada.site.service_url}
        script = (FOLDER / ".guides" / "due.py").read_text().replace('token = ""', f'token = "{token}"', 1)
        return subprocess.run(
            [sys.executable, "-c", script], env=make_environment(settings), cwd=tmp_path,
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    created = ask("/api/auth/api-key/create", name="backup")
    assert (created["rateLimitMax"], created["rateLimitTimeWindow"]) == (60, 60_000)
    done = run()
    guide = (ROOT / "docs" / "connect-better-auth.md").read_text()
    assert f"python due.py\n{done.stdout}```" in guide, done.stderr
    assert run("a.refused.token").stdout == done.stdout
    status, answer = trade(created["key"])
    assert status == 200
    claims = jwt.decode(answer["token"], options={"verify_signature": False})
    assert 14 * 60 < claims["exp"] - time.time() <= 15 * 60

    database = ada.site.database
    database.run('UPDATE public.apikey SET "requestCount" = 60, "lastRequest" = now()')
    assert trade(created["key"])[0] == 429
    other = ask("/api/auth/api-key/create", name="of a calendar")
    database.run('UPDATE public.apikey SET "configId" = %s WHERE id = %s', ("calendar", other["id"]))
    ask("/api/auth/api-key/delete", keyId=created["id"])
    assert trade(created["key"])[0] == trade(other["key"])[0] == trade("x" * 64)[0] == 401
    refused = run()
    assert refused.returncode == 1
    assert "401 Unauthorized" in refused.stderr
    bearer = f"Bearer {answer['token']}"
    assert call(ada.site.service_port, "GET", "/api/tasks", Authorization=bearer).status == 200

    key = ask("/api/auth/api-key/create", name="another")["key"]
    database.run("DELETE FROM public.user WHERE id = %s", (claims["sub"],))
    assert trade(key) == (401, {"detail": "The user of this API key does not exist."})

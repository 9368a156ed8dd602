"""The example frontend, built and served as its README describes, with the real service and real browsers."""

import json
import os
import re
import secrets
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, sync_playwright

from tests.support import better_auth
from tests.support.commands import ROOT, call, free_port, make_environment, serve
from tests.support.databases import SECRET, Database

FOLDER = ROOT / "examples" / "nextjs"
# CI keeps its pictures elsewhere.
SCREENSHOTS = ROOT / os.environ.get("SCREENSHOTS", "screenshots")
OUTSIDE = ROOT / "tests" / "frontend" / "note_outside.mjs"
CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def find_missing() -> str | None:
    """Return why the frontend cannot run here, or None."""
    if reason := better_auth.find_missing():
        return reason
    return None if shutil.which("chromium") else "the frontend is tried in Chromium, which is not installed"


def npm(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run npm in the folder of the frontend."""
    return npm_in(FOLDER, *arguments, **settings)


def npm_in(folder: Path, /, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run npm in a folder."""
    command = ["npm", "--silent", *arguments]
    environment = make_environment(settings)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def install(folder: Path = FOLDER) -> None:
    """Install the packages of a folder from its lock file, unless they are installed."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = npm_in(folder, "ci", "--no-audit", "--no-fund")
        assert done.returncode == 0, done.stderr


@dataclass
class Site:
    """The frontend and the service with their own ports, and the database that both use."""

    database: Database
    outside: Path
    token_lifetime: str = "15m"
    folder: Path = FOLDER
    proxies: dict[str, str] = field(default_factory=lambda: {"TRUSTED_PROXIES": "127.0.0.1, ::1"})
    port: int = field(default_factory=free_port)
    service_port: int = field(default_factory=free_port)
    _service: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def service_url(self) -> str:
        return f"http://localhost:{self.service_port}"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of the frontend, which also records every connection to other hosts."""
        return {
            "DATABASE_URL": self.database.url(),
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_URL": self.url,
            "API_URL": self.service_url,
            "JWT_LIFETIME": self.token_lifetime,
            **self.proxies,
            "NODE_OPTIONS": f"--import={OUTSIDE.as_uri()}",
            "OUTSIDE": str(self.outside),
        }

    def start_service(self) -> None:
        settings = {"NEON_DB_URL": self.database.url(), "BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": self.url}
        arguments = ("--bind", f"127.0.0.1:{self.service_port}", "--workers", "1", "--graceful-timeout", "1")
        settings["CORS_ORIGINS"] = self.url
        log = self.outside.with_name(f"service-{self.service_port}.log")
        self._service.enter_context(serve(self.service_port, *arguments, settings=settings, log=log))

    def stop_service(self) -> None:
        self._service.close()

    def prepare(self) -> None:
        """Create the tables of Better Auth, and build the frontend."""
        for script in ("migrate", "build"):
            done = npm("run", script, **self.settings)
            assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def serve(self, *, with_service: bool = True) -> Iterator["Site"]:
        """Run the frontend, and the service, for the duration of a with statement."""
        next_ = FOLDER / "node_modules" / "next" / "dist" / "bin" / "next"
        command = ["node", str(next_), "start", "--hostname", "localhost", "--port", str(self.port)]
        log = self.outside.with_name(f"frontend-{self.port}.log")
        with log.open("w") as output:
            environment = make_environment(self.settings)
            frontend = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            if with_service:
                self.start_service()
            deadline = time.monotonic() + 30
            while not self._is_served():
                assert time.monotonic() < deadline, log.read_text()
                assert frontend.poll() is None, log.read_text()
                time.sleep(0.05)
            yield self
        finally:
            self.stop_service()
            frontend.terminate()
            frontend.wait(30)

    def _is_served(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=10) as response:  # noqa: S310 - an http address
                return bool(response.status == 200)
        except OSError:
            return False


@dataclass
class Visitor:
    """A user with a browser that records its requests and the errors in its console."""

    site: Site
    context: BrowserContext
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(10_000)
        self.context.on("request", self._note_request)
        self.context.on("console", self._note_complaint)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = self.open()

    def _note_request(self, request: Request) -> None:
        if found := re.match(r"\w+://([^/:]+:\d+)/", request.url):
            self.hosts.add(found[1])

    def _note_complaint(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def forgive(self, reason: str) -> None:
        """Remove console messages about this status.

        Chromium logs each failed response, also one that a test provokes.
        """
        kept = [text for text in self.complaints if not (text.startswith("Failed to load") and reason in text)]
        assert len(kept) < len(self.complaints), f"nothing failed with {reason}"
        self.complaints[:] = kept

    def open(self) -> Page:
        """Open another tab."""
        page = self.context.new_page()
        page.goto("/")
        return page

    def create_account(self, name: str = "Ada Lovelace") -> None:
        """Create an account without the form, as a proxy passes it on.

        Better Auth allows three sign-ups in ten seconds for each address.
        """
        address = ".".join(str(secrets.randbelow(256)) for _ in range(4))
        person = {"name": name, "email": f"{secrets.token_hex(6)}@example.com", "password": "correct horse battery"}
        headers = {"X-Forwarded-For": address, "Origin": self.site.url}
        answer = self.context.request.post("/api/auth/sign-up/email", data=person, headers=headers)
        assert answer.ok, answer.text()

    def sign_up(self, name: str = "Ada Lovelace") -> None:
        """Create an account, and wait for its tasks."""
        self.create_account(name)
        self.page.reload()
        self.page.get_by_role("heading", name="Your tasks").wait_for(state="attached")

    def call(self, method: str, path: str = "/api/tasks", **body: Any) -> Any:
        """Call the service directly as this user."""
        token = self.context.request.get("/api/auth/token").json()["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = call(self.site.service_port, method, path, json.dumps(body) if body else None, **headers)
        assert answer.status in {200, 201}, answer.body
        return answer.body

    def add(self, title: str, page: Page | None = None) -> None:
        page = page or self.page
        page.get_by_role("textbox", name="New task").fill(title)
        page.get_by_role("button", name="Add", exact=True).click()
        row(page, title).wait_for()


Visit = Callable[..., Visitor]


def row(page: Page, title: str) -> Locator:
    """Return the row of a task."""
    return (
        page.get_by_role("main")
        .get_by_role("listitem")
        .filter(has=page.get_by_role("checkbox", name=title, exact=True))
    )


def titles(page: Page) -> list[str]:
    """Return the titles in the list, from the top."""
    return [text.strip() for text in page.locator(".task > label").all_inner_texts()]


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        browser.close()

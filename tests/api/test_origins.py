"""CORS_ORIGINS: which pages may call, with cookies or without them, and what they may read."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from werkzeug.datastructures import Headers

from tests.support.callers import Caller
from tests.support.databases import Database, closing_pool
from todo import create_app

APP, OTHER, PREVIEW = "https://app.example.com", "https://evil.example", "https://app-git-x.vercel.app"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
Ask = Callable[..., Headers]


@pytest.fixture
def allow(database: Database) -> Iterator[Callable[..., Ask]]:
    """Return a function that requests as a page of an origin, of a service with these CORS_ORIGINS."""
    with ExitStack() as stack:

        def allow(*origins: str) -> Ask:
            settings = database.settings(cors_origins=origins)
            caller = Caller(stack.enter_context(closing_pool(create_app(settings))).test_client(), settings)

            def ask(origin: str, method: str = "GET", path: str = "/api/tasks", **more: Any) -> Headers:
                return caller.call(method, path, headers={"Origin": origin, **more}).headers

            return ask

        yield allow


def read_rights(headers: Headers) -> tuple[str | None, str | None]:
    return headers.get("Access-Control-Allow-Origin"), headers.get("Access-Control-Allow-Credentials")


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/api/tasks", {}),
        ("GET", "/api/tasks", {"Authorization": ""}),
        ("GET", "/api/tasks/0", {}),
        ("PUT", "/api/tasks", {}),
        ("POST", "/api/tasks", {"Content-Type": "application/json"}),
        ("GET", "/nothing", {}),
        ("OPTIONS", "/api/tasks", PREFLIGHT),
        ("OPTIONS", "/nothing", PREFLIGHT),
    ],
)
def test_credentials_are_allowed_for_named_origins_only(
    allow: Callable[..., Ask], method: str, path: str, more: dict[str, str]
) -> None:
    ask = allow(APP)
    assert read_rights(ask(APP, method, path, **more)) == (APP, "true")
    assert read_rights(ask(OTHER, method, path, **more)) == (None, None)
    ask = allow("*", APP)
    assert read_rights(ask(APP, method, path, **more)) == (APP, "true")
    for origin in (OTHER, "null", "*"):
        assert read_rights(ask(origin, method, path, **more)) == ("*", None)
    assert {"Authorization", "Origin"} <= {name.strip() for name in ask(APP, method, path)["Vary"].split(",")}


def test_a_preflight_allows_every_method_that_is_a_word(allow: Callable[..., Ask]) -> None:
    ask = allow(APP)
    usual = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    for method, allowed in {"patch": f"{usual}, patch", "PATCH": usual, "BREW": f"BREW, {usual}"}.items():
        headers = ask(APP, "OPTIONS", **{"Access-Control-Request-Method": method})
        assert headers["Access-Control-Allow-Methods"] == allowed
    for method in ("", "GET, *", "*", "pätch", "x" * 100):
        headers = ask(APP, "OPTIONS", **{"Access-Control-Request-Method": method})
        assert headers["Access-Control-Allow-Methods"] == usual


def test_an_asterisk_stands_for_a_part_of_one_label(allow: Callable[..., Ask]) -> None:
    ask = allow(APP, "https://app-*.vercel.app", "http://*.team.test:3000")
    for origin in (APP, PREVIEW, "https://app-1.vercel.app", "http://ada.team.test:3000"):
        assert read_rights(ask(origin)) == (origin, "true")
    for origin in (
        "https://app-a.b.vercel.app", "https://app-.vercel.app", "https://app-x.evil.com/.vercel.app",
        "https://app-x.evil.com#.vercel.app", "https://app-x:443.vercel.app", "https://app-x@y.vercel.app",
        f"{PREVIEW}.evil.com", f"{PREVIEW}:8443", f"http{PREVIEW[5:]}", f"x{PREVIEW}", f"{PREVIEW} ", f"{PREVIEW}/",
        f"{PREVIEW},{OTHER}", "https://app-xavercel.app", "https://app-X.vercel.app",
        f"https://app-{'x' * 64}.vercel.app",
        "http://team.test:3000", "http://ada.team.test", "http://a.b.team.test:3000", "null", "*", "",
    ):  # fmt: skip
        assert read_rights(ask(origin)) == (None, None), origin

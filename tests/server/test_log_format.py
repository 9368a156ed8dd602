"""The format of log lines, for programs and for a terminal, and the removal of secrets."""

import json
import logging
import re
import sys
from io import StringIO
from typing import Any

import pytest

from config import Settings
from server.explanations import Told, TrialLines
from server.lines import JsonLines, TextLines, choose_lines
from tests.support.databases import SECRET
from todo.logs.causes import describe
from todo.web.requests import Request

REQUEST = Request("an-id", "alice", "GET", "/api/tasks/<task_id>", 404, 2.345, 116)
SETTINGS = Settings(better_auth_secret=SECRET, database_url="postgresql://u:pass%2Fword@h/d")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def write(message: str, *arguments: Any, settings: Settings = SETTINGS, stream: StringIO | None = None) -> str:
    """Return the line of a warning, with the error that is being handled, if any."""
    error: Any = sys.exc_info() if sys.exc_info()[1] else None
    record = logging.LogRecord("todo", logging.WARNING, "", 1, message, arguments, error)
    return choose_lines(settings, stream or StringIO()).format(record)


@pytest.fixture(autouse=True)
def _colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("log_format", "stream", "shape"),
    [
        ("auto", StringIO(), JsonLines),
        ("auto", Terminal(), TextLines),
        ("json", Terminal(), JsonLines),
        ("text", StringIO(), TextLines),
    ],
)
def test_the_log_is_text_on_a_terminal_and_json_elsewhere(log_format: str, stream: StringIO, shape: type) -> None:
    assert isinstance(choose_lines(Settings(log_format=log_format), stream), shape)


def test_a_terminal_shows_short_requests_with_a_colored_status() -> None:
    line = choose_lines(Settings(log_users="plain"), Terminal()).format_request(REQUEST)
    assert line.endswith("GET /api/tasks/<task_id> \x1b[33m404\x1b[0m 2.3 ms 116 B alice \x1b[2man-id\x1b[0m")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colors_can_be_disabled(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert "\x1b" not in choose_lines(Settings(), Terminal()).format_request(REQUEST)


def test_control_characters_do_not_reach_the_terminal() -> None:
    line = write("it answers %s", "\x1b[2J\r\n\x9b\u202e\ud800", stream=Terminal())
    assert line.endswith("warning: it answers \\x1b[2J\\r\\n\\x9b\\u202e\\ud800\x1b[0m")


def test_characters_that_cannot_be_seen_are_escaped() -> None:
    """Two user ids can look the same, and the log tells them apart."""
    request = REQUEST._replace(user_id="al\u200bi\ufeffce\u2060\U000e0041")
    for stream in (StringIO(), Terminal()):
        line = choose_lines(Settings(log_users="plain"), stream).format_request(request)
        assert "al\\u200bi\\ufeffce\\u2060" in line
        assert "\U000e0041" not in line


def test_a_traceback_is_one_json_field_or_lines_on_a_terminal() -> None:
    try:
        raise RuntimeError("first") from TypeError("cause")  # noqa: TRY301
    except RuntimeError:
        line, text = write("It failed"), write("It failed", stream=Terminal())
    fields = json.loads(line)
    assert fields["error"] == "RuntimeError: first"
    assert fields["traceback"].endswith("RuntimeError: first\nTypeError: cause")
    assert "\n" not in line
    assert "It failed (RuntimeError: first)" in text.splitlines()[0]
    assert text.splitlines()[-1] == "  TypeError: cause"


@pytest.mark.parametrize(("log_users", "user"), [("plain", "alice"), ("hash", "0ff4946eb33c"), ("off", None)])
def test_log_users_selects_hash_plain_or_off(log_users: str, user: str | None) -> None:
    settings = Settings(better_auth_secret=SECRET, log_users=log_users)
    assert json.loads(JsonLines(settings).format_request(REQUEST)).get("user") == user


def test_the_hash_of_a_user_depends_on_the_secret() -> None:
    lines = [JsonLines(Settings(better_auth_secret=secret)) for secret in (SECRET, SECRET + "!", None)]
    assert len({line.format_request(REQUEST).partition('"user"')[2] for line in lines}) == 3


@pytest.mark.parametrize("word", [SECRET, "pass/word", "pass%2Fword", "eyJhbGciOi.eyJzdWI.c2ln", "Bearer 123"])
def test_secrets_in_messages_are_replaced(word: str) -> None:
    for stream in (StringIO(), Terminal()):
        line = write("It says %s, and more", word, stream=stream)
        assert "It says [secret], and more" in line


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://host:5432/words", "password! password%21 5432/words"),
        ("postgresql://host:5432/words?user=u&password=password%21", "[secret] [secret] 5432/words"),
        ("postgresql://host:5432/words?sslkey=k&sslpassword=password%21", "[secret] [secret] 5432/words"),
    ],
)
def test_only_the_password_of_a_database_url_is_a_secret(url: str, line: str) -> None:
    for settings in (Settings(database_url=url), Settings(migration_database_url=url)):
        assert line in write("password! password%21 5432/words", settings=settings)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (RuntimeError(), "RuntimeError"),
        (ValueError("a title"), "ValueError: (not logged: it may quote what a user wrote)"),
        (KeyError("a title"), "KeyError: (not logged: it may quote what a user wrote)"),
    ],
)
def test_messages_that_may_quote_users_are_not_written(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_what_only_make_run_shows_has_no_secrets_and_no_controls() -> None:
    told = Told(*REQUEST._replace(user_id="al\u202eice"))
    told.path, told.reason = (
        f"/api/tasks?jwt=x&a=Bearer%20ab.cd&b=%20eyJhbGci.eyJzdWIi.x&c={SECRET}&my_key=1\x1b&d\x1b[31m",
        f"No\x9b\r\n{SECRET} {'a' * 2000}",
    )
    line = TrialLines(SETTINGS, coloured=False).format_request(told)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d GET /api/tasks\?jwt=\[secret\]&a=\[secret\]&b=%20\[secret\]&c=\[secret\]&my_key=\[secret\]&d"
        r"\\x1b\[31m 404 "
        r"\(2 ms, user al\\u202eice\) No\\x9b\\r\\n\[secret\] a+…",
        line,
    )
    assert len(line) < 1300
    assert "alice" not in TrialLines(Settings(log_users="off"), coloured=False).format_request(REQUEST)

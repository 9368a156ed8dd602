"""How a line looks, for programs and for a person at a terminal; what is taken out of it."""

import json
import logging
import sys
from io import StringIO
from typing import Any

import pytest

from config import Settings
from server.lines import JsonLines, TextLines, choose_lines
from tests.support.databases import SECRET
from todo.logs.causes import describe
from todo.web.requests import Request

REQUEST = Request("an-id", "alice", "GET", "/api/tasks/<task_id>", 404, 2.345, 116)
SETTINGS = Settings(better_auth_secret=SECRET, database_url="postgresql+psycopg2://u:pass%2Fword@h/d")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def write(message: str, *arguments: Any, settings: Settings = SETTINGS, stream: StringIO | None = None) -> str:
    """The line of a warning, and what follows it; with the error that is being handled, if one is."""
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
def test_a_terminal_gets_text_and_everything_else_json_unless_a_setting_says(
    log_format: str, stream: StringIO, shape: type
) -> None:
    assert isinstance(choose_lines(Settings(log_format=log_format), stream), shape)


def test_at_a_terminal_a_request_is_short_and_its_status_has_a_colour() -> None:
    line = choose_lines(Settings(log_users="plain"), Terminal()).format_request(REQUEST)
    assert line.endswith("GET /api/tasks/<task_id> \x1b[33m404\x1b[0m 2.3 ms 116 B alice \x1b[2man-id\x1b[0m")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert "\x1b" not in choose_lines(Settings(), Terminal()).format_request(REQUEST)


def test_no_line_at_a_terminal_does_anything_to_it() -> None:
    line = write("it answers %s", "\x1b[2J\r\n\x9b\u202e\ud800", stream=Terminal())
    assert line.endswith("warning: it answers \\x1b[2J\\r\\n\\x9b\\u202e\\ud800\x1b[0m")


def test_a_traceback_is_one_member_and_at_a_terminal_below_its_line() -> None:
    try:
        raise RuntimeError("first") from TypeError("cause")  # noqa: TRY301
    except RuntimeError:
        line, text = write("It failed"), write("It failed", stream=Terminal())
    members = json.loads(line)
    assert members["error"] == "RuntimeError: first"
    assert members["traceback"].endswith("RuntimeError: first\nTypeError: cause")
    assert "\n" not in line
    assert "It failed (RuntimeError: first)" in text.splitlines()[0]
    assert text.splitlines()[-1] == "  TypeError: cause"


@pytest.mark.parametrize(("log_users", "user"), [("plain", "alice"), ("hash", "0ff4946eb33c"), ("off", None)])
def test_users_are_called_as_the_setting_says(log_users: str, user: str | None) -> None:
    settings = Settings(better_auth_secret=SECRET, log_users=log_users)
    assert json.loads(JsonLines(settings).format_request(REQUEST)).get("user") == user


def test_another_secret_gives_users_other_names() -> None:
    lines = [JsonLines(Settings(better_auth_secret=secret)) for secret in (SECRET, SECRET + "!", None)]
    assert len({line.format_request(REQUEST).partition('"user"')[2] for line in lines}) == 3


@pytest.mark.parametrize("word", [SECRET, "pass/word", "pass%2Fword", "eyJhbGciOi.eyJzdWI.c2ln", "Bearer 123"])
def test_a_secret_that_strays_into_a_message_is_taken_out(word: str) -> None:
    for stream in (StringIO(), Terminal()):
        line = write("It says %s, and more", word, stream=stream)
        assert "It says [secret], and more" in line


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://host:5432/words", "password! password%21 5432/words"),
        ("postgresql://host:5432/words?user=u&password=password%21", "[secret] [secret] 5432/words"),
    ],
)
def test_of_a_url_the_password_is_secret_wherever_it_stands_and_nothing_else(url: str, line: str) -> None:
    settings = Settings(better_auth_secret=SECRET, database_url=url)
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
def test_only_messages_that_name_code_are_written(error: Exception, text: str) -> None:
    assert describe(error) == text

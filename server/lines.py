"""Formats log lines: as JSON for programs, or short and coloured for a terminal."""

import itertools
import json
import logging
import os
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import IO, Any, Protocol
from urllib.parse import unquote

from flask import has_request_context

from config import Settings
from todo.logs.causes import describe, format_traceback
from todo.logs.users import make_user_namer
from todo.web.headers import request_id
from todo.web.requests import Request

# Tokens; and characters that control a terminal, look like a line break or cannot be seen.
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*|(?i:bearer(?: |\+|%20)+)[A-Za-z0-9._~+/=%-]+")
CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
# Passwords in a URL, before the host, or as a parameter, which libpq accepts too.
PASSWORDS = re.compile(r"//[^:/]*:([^@]+)@|[?&](?:ssl)?password=([^&]+)")
MASK = "[secret]"
# Shorter secrets would be found in ordinary words.
MIN_SECRET_LENGTH = 6

COLOURS = {"dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
QUIET_LEVEL = logging.INFO


class Lines(Protocol):
    """A format of lines."""

    def format(self, record: logging.LogRecord) -> str: ...

    def format_request(self, request: Request) -> str: ...


class Event:
    """The content of a log record, with secrets and tokens masked, in case that a message contains them."""

    def __init__(self, record: logging.LogRecord, secrets: Iterable[str]) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.level = record.levelname.lower()
        self.message = mask(record.getMessage(), secrets)
        self.request_id = request_id() if has_request_context() else getattr(record, "request_id", None)
        self.error = mask(describe(error), secrets) if error else None
        traceback = format_traceback(error) if error else getattr(record, "stacks", None)
        self.traceback = mask(traceback, secrets) if traceback else None


class JsonLines(logging.Formatter):
    """One JSON object per line, in ASCII: no value can end the line or control a terminal."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._secrets = list_secrets(settings)
        self._name_user = make_user_namer(settings)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a log record."""
        event = Event(record, self._secrets)
        fields = {
            "time": format_time(record.created),
            "level": event.level,
            "message": event.message,
            "pid": record.process,
            "logger": record.name,
            "request_id": event.request_id,
            "error": event.error,
            "traceback": event.traceback,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})

    def format_request(self, request: Request) -> str:
        """Return the line of a request; formatted by hand for speed, because each request has one."""
        user, refusal = "", ""
        if self._name_user and request.user_id is not None:
            user = f', "user": {quote(self._name_user(request.user_id))}'
        if request.refusal is not None:
            refusal = f', "refusal": {quote(request.refusal)}'
        return (
            f'{{"time": "{format_time(time.time())}", "level": "info", "message": "request", "pid": {os.getpid()}, '
            f'"request_id": "{request.request_id}", "method": "{request.method}", "route": {quote(request.route)}, '
            f'"status": {request.status}, "ms": {request.milliseconds:.1f}, "bytes": {request.size}{user}{refusal}}}'
        )


class TextLines(logging.Formatter):
    """Short lines for a person; control characters in messages are escaped."""

    def __init__(self, settings: Settings, *, coloured: bool) -> None:
        super().__init__()
        self._secrets = list_secrets(settings)
        self._name_user = make_user_namer(settings)
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a log record, and its traceback below."""
        event = Event(record, self._secrets)
        colour = "red" if record.levelno >= logging.ERROR else "yellow"
        text = escape(event.message) + (f" ({escape(event.error)})" if event.error else "")
        if record.levelno > QUIET_LEVEL:
            text = self._paint(f"{event.level}: {text}", colour)
        number = f" {self._paint(event.request_id, 'dim')}" if event.request_id else ""
        traceback = (event.traceback or "").splitlines()
        return "\n".join([f"{self._clock()} {text}{number}", *(f"  {escape(line)}" for line in traceback)])

    def format_request(self, request: Request) -> str:
        """Return the line of a request."""
        colour = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}.get(request.status // 100, "dim")
        where = escape(request.refusal) if request.refusal else request.route or "(no route)"
        rest = [f"{request.milliseconds:.1f} ms", f"{request.size} B"]
        if self._name_user and request.user_id is not None:
            rest.append(escape(self._name_user(request.user_id)))
        status, details = self._paint(str(request.status), colour), self._paint(request.request_id, "dim")
        return f"{self._clock()} {request.method} {where} {status} {' '.join(rest)} {details}"

    def _clock(self) -> str:
        return self._paint(time.strftime("%H:%M:%S"), "dim")

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._coloured else text


def choose_lines(settings: Settings, stream: IO[Any]) -> Lines:
    """Return the format that LOG_FORMAT sets; by default text for a terminal and JSON for other streams."""
    terminal = stream.isatty()
    if settings.log_format == "json" or (settings.log_format == "auto" and not terminal):
        return JsonLines(settings)
    return TextLines(settings, coloured=is_coloured(stream))


def is_coloured(stream: IO[Any]) -> bool:
    """Return whether lines may have colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def list_secrets(settings: Settings) -> list[str]:
    """Return the secrets in the settings, also as they are written in URLs."""
    secrets = [settings.better_auth_secret or "", (settings.jwks_url or "").partition("?")[2]]
    for url in (settings.database_url, settings.migration_database_url, settings.rate_limit_storage):
        for password in itertools.chain(*PASSWORDS.findall(url or "")):
            secrets += [password, unquote(password)]
    return [secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH]


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return a text with secrets and tokens masked."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return TOKEN.sub(MASK, text)


def escape(text: str) -> str:
    """Return a text with its control characters escaped."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def format_time(seconds: float) -> str:
    """Return a Unix time in RFC 3339 format, in UTC, with milliseconds."""
    whole = int(seconds)
    return f"{format_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(2)
def format_second(seconds: int) -> str:
    """Return a Unix time in RFC 3339 format without fractions; cached, because many lines share it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(4096)
def quote(text: str | None) -> str:
    """Return a text as JSON; cached."""
    return json.dumps(text)

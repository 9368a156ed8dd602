"""The log of `make run`: why a request was refused, with its path and its user, on the terminal of that user.

A log in JSON has none of this (todo/web/requests.py), also with `make run`.
"""

import logging
import re
from datetime import timedelta
from importlib import import_module
from typing import Any

from flask import Flask, Response, request

from config import Settings
from server.lines import MASK, TextLines, escape, is_coloured, mask
from server.logger import Logger
from server.refusals import NOT_HTTP, RESPONSES
from todo.web.requests import Request

PROBLEM_KEY = "todo.trial.problem"
MAX_PATH, MAX_REASON = 200, 1000
# Parameters of a URL that may be secret, whatever they look like.
PARAMETERS = re.compile(r"(?i)([?&][^=&\s]*(?:auth|jwt|key|password|secret|token)[^=&\s]*=)[^&\s]+")
# Requests of the page /api/docs for its own files.
PAGE_FILES = "/api/docs/"
# gunicorn's message about a worker that was stopped before it was ready.
STOPPED_EARLY = "Worker (pid:%s) was sent %s!"
REFUSALS = {kind.__name__: detail for kind, (_, detail) in RESPONSES.items()}


class Told(Request):
    """A request with what only its user may read."""

    path: str = ""
    reason: str = ""


class TrialLogger(Logger):
    """Writes text, also if standard error is no terminal, unless LOG_FORMAT is json. gunicorn's notes are left out."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self._settings: Settings = import_module("config").read_settings()
        self.output.handler.addFilter(is_no_note)
        self._is_told = self._settings.log_format != "json"
        if self._is_told:
            self._lines = TrialLines(self._settings, coloured=is_coloured(self.output.handler.stream))

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        if not self._is_told:
            return super().access(resp, req, environ, request_time)
        told = Told(*self.read(resp, environ, request_time))
        told.path = environ.get("RAW_URI", "")
        if told.path.startswith(PAGE_FILES) and told.status < 400:
            return None
        headers = {name.lower() for name, _ in resp.headers}
        told.reason = explain(environ, told, "access-control-allow-origin" in headers, self._settings)
        self.report(told)
        return None


class TrialLines(TextLines):
    """Lines with the path, the user and the reason of a refusal. Secrets are masked, and control characters escaped."""

    def __init__(self, settings: Settings, *, coloured: bool) -> None:
        super().__init__(settings, coloured=coloured)
        self._names_users = settings.log_users != "off"

    def format_request(self, request: Request) -> str:
        path, reason = request.route or "", REFUSALS.get(request.refusal or "", NOT_HTTP[1])
        if isinstance(request, Told):
            path, reason = request.path, request.reason
        colour = "red" if request.status >= 500 else "yellow" if reason else "green"
        facts = [f"{request.milliseconds:.0f} ms"]
        if self._names_users and request.user_id is not None:
            facts.append(f"user {request.user_id}")
        if request.status >= 500:
            facts.append(f"request {request.request_id}")
        words = [request.method, self._clean(path, MAX_PATH), self._paint(str(request.status), colour)]
        words += [self._paint(f"({self._clean(', '.join(facts), MAX_PATH)})", "dim"), self._clean(reason, MAX_REASON)]
        return " ".join([self._clock(), *filter(None, words)])

    def _clean(self, text: str, maximum: int) -> str:
        text = mask(PARAMETERS.sub(rf"\1{MASK}", text), self._secrets)
        return escape(text if len(text) <= maximum else f"{text[:maximum]}…")


def is_no_note(record: logging.LogRecord) -> bool:
    """Return whether a log record is more than a note of gunicorn about its processes."""
    return record.levelno > logging.INFO and record.msg != STOPPED_EARLY


def explain_refusals(app: Flask) -> None:
    """Let the logger know the problem of each response. The log in JSON does not read it."""
    app.after_request(note_problem)


def note_problem(response: Response) -> Response:
    """Put a response's problem into the WSGI environment."""
    if response.mimetype == "application/problem+json":
        request.environ[PROBLEM_KEY] = response.get_json()
    return response


def explain(environ: dict[str, Any], answered: Request, is_readable: bool, settings: Settings) -> str:
    """Return why a request was refused, by the service or by the browser; an empty text if it was not."""
    problem = environ.get(PROBLEM_KEY)
    reasons = [explain_problem(problem, answered)] if problem else []
    origin = environ.get("HTTP_ORIGIN")
    if origin and not is_readable and origin != f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}":
        allowed = ",".join(settings.cors_origins)
        reasons.append(
            f"The browser blocks this: {origin} is not in CORS_ORIGINS, which is {allowed}. "
            f"To allow it, set CORS_ORIGINS={allowed},{origin} in .env, and start make run again."
        )
    return " ".join(reasons)


def explain_problem(problem: dict[str, Any], answered: Request) -> str:
    """Return the detail of a problem, or all its field errors."""
    if answered.status == 404 and answered.route is None:
        return "There is no such path. GET /api/docs lists all."
    if errors := problem.get("errors"):
        return " ".join(f"{field}: {' '.join(messages)}" for field, messages in errors.items())
    return str(problem["detail"])

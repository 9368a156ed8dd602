"""gunicorn's logger class: it writes all log lines, of requests, of gunicorn and of all other loggers."""

import io
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from typing import Any

from gunicorn import glogging  # type: ignore[import-untyped]

from config import Settings
from server.lines import Lines, choose_lines
from server.output import Output
from todo.web.requests import Request, read_request

log = logging.getLogger(__name__)

# Requested all the time by load balancers: logged only if they fail.
PROBES = {"/healthz", "/readyz"}


class Logger(glogging.Logger):  # type: ignore[misc]
    """Writes all lines in one format to gunicorn's error log, by default stderr. No line waits (output.py).

    The lowest level is info, because gunicorn's debug messages quote requests.
    """

    def setup(self, cfg: Any) -> None:
        """Set up gunicorn's logger and the root logger; gunicorn calls this at the start and on a reload."""
        super().setup(cfg)
        # After a reload, this class is still the first release's, but the settings and their secrets are the new ones.
        settings: Settings = import_module("config").read_settings()
        self.error_log.setLevel(max(self.loglevel, logging.INFO))
        handler: logging.StreamHandler[Any] = self._get_gunicorn_handler(self.error_log)
        if cfg.errorlog == "-":
            handler.setStream(sys.__stderr__)
        self._writes_requests = self.error_log.isEnabledFor(logging.INFO)
        self._lines: Lines = choose_lines(settings, handler.stream)
        if not hasattr(self, "output"):
            self.output = Output(self._make_note)
            if cfg.errorlog == "-":
                # gunicorn prints some errors of a reload.
                sys.stderr = io.TextIOWrapper(self.output, "utf-8", "backslashreplace", line_buffering=True)
        self.output.handler = handler
        handler.emit = self._emit  # type: ignore[method-assign]
        logging.root.handlers = [handler]
        # An error in logging would print a message that quotes the record.
        logging.raiseExceptions = False
        logging.captureWarnings(capture=True)
        self.listeners: list[Callable[[Request], None]] = []
        log_uncaught()

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log a request; gunicorn calls this after it has sent the response, with the time since it had a thread."""
        self.report(self.read(resp, environ, request_time))

    def read(self, resp: Any, environ: dict[str, Any], request_time: timedelta) -> Request:
        """Return what is logged of a request, with the time for which it waited for a thread."""
        waited = getattr(environ["gunicorn.socket"], "waited", 0.0)
        return read_request(resp, environ, request_time + timedelta(seconds=waited))

    def report(self, request: Request) -> None:
        """Log a request, and pass it to the listeners."""
        for listener in self.listeners:
            listener(request)
        if self._writes_requests and (request.status >= 400 or request.route not in PROBES):
            self._write(self._lines.format_request(request))

    def _emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless it cannot be formatted."""
        with suppress(Exception):
            self._write(self._lines.format(record))

    def _write(self, line: str) -> None:
        """Write a line; for a request, a log record would take three times as long."""
        self.output.write(f"{line}\n".encode())

    def _make_note(self, dropped: int) -> str:
        """Return the line that says how many lines are missing."""
        text = "%s lines are missing here, because the log could not be written"
        return self._lines.format(log.makeRecord(log.name, logging.WARNING, "", 0, text, (dropped,), None))


def log_uncaught() -> None:
    """Log uncaught exceptions like other errors: Python prints them to stderr with their messages, which may quote."""

    def write(what: str, error: BaseException | None) -> None:
        log.error("%s", what, exc_info=error)

    sys.excepthook = lambda kind, error, traceback: write("Uncaught exception", error)
    threading.excepthook = lambda found: write(
        f"Uncaught exception in thread {found.thread.name if found.thread else '?'}", found.exc_value
    )
    sys.unraisablehook = lambda found: write("Exception that Python cannot raise", found.exc_value)

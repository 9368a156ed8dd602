"""gunicorn's logger, as it is here: it writes the lines of requests, of gunicorn itself and of everything else."""

import logging
import os
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
from todo.logs.requests import Request, read_request

log = logging.getLogger(__name__)

# Asked all the time by machines: a line only when something is wrong.
PROBES = {"/healthz", "/readyz"}


class Logger(glogging.Logger):  # type: ignore[misc]
    """Writes every line, in one shape, to gunicorn's error log: stderr, if its options say nothing else.

    Not below the level of information: gunicorn's debugging quotes what clients send.
    """

    def setup(self, cfg: Any) -> None:
        """Take over gunicorn's own lines and everybody else's; gunicorn calls it at the start, and on a reload."""
        super().setup(cfg)
        # After a reload, this class is still the first release's, but the settings and their secrets are the new ones.
        settings: Settings = import_module("config").read_settings()
        self.error_log.setLevel(max(self.loglevel, logging.INFO))
        self._handler: logging.StreamHandler[Any] = self._get_gunicorn_handler(self.error_log)
        self._writes_requests = self.error_log.isEnabledFor(logging.INFO)
        self._lines: Lines = choose_lines(settings, self._handler.stream)
        self._lock: Any = self._handler.lock  # Held while a file is opened anew.
        self._handler.setFormatter(self._lines)
        logging.root.handlers = [self._handler]
        # A line that cannot be written is not worth another, which would quote it.
        logging.raiseExceptions = False
        logging.captureWarnings(capture=True)
        self.watchers: list[Callable[[Request], None]] = []
        catch_strays()

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Write a request's line; gunicorn calls it when the request is answered."""
        self.report(read_request(resp, environ, request_time))

    def report(self, request: Request) -> None:
        """Write a request's line, and show the request to whoever counts."""
        for watch in self.watchers:
            watch(request)
        if self._writes_requests and (request.status >= 400 or request.route not in PROBES):
            self._write(self._lines.format_request(request))

    def _write(self, line: str) -> None:
        """Write a line where the handler does, but at once and without a record: that costs three times as much."""
        with self._lock, suppress(OSError, ValueError):  # Nobody may read any more.
            os.write(self._handler.stream.fileno(), f"{line}\n".encode())


def catch_strays() -> None:
    """Write what nobody caught, in the same shape: Python's own words to stderr quote the message."""

    def write(what: str, error: BaseException | None) -> None:
        log.error("%s", what, exc_info=error)

    sys.excepthook = lambda kind, error, traceback: write("An error that nobody caught", error)
    threading.excepthook = lambda found: write(
        f"The thread {found.thread.name if found.thread else '?'} ended with an error", found.exc_value
    )
    sys.unraisablehook = lambda found: write("An error where none can be raised", found.exc_value)

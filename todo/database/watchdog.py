"""A deadline for every response of the database: a connection that misses it is shut down.

The time that a request waited for a slot (slots.py) counts, so clients get their response within STATEMENT_SECONDS and
one second more.

PostgreSQL's own timeouts end a slow statement while PostgreSQL runs. If its machine stopped, or a proxy keeps a dead
connection open, only the client can give up, and psycopg2 has no timeout for that.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from flask import g
from sqlalchemy.exc import OperationalError

CHECK_SECONDS = 0.1
# How much longer than PostgreSQL's own timeout a statement may take before its connection counts as lost.
GRACE_SECONDS = 0.4
# A request that has spent its time still has this long, to try a new connection after a silent one.
MIN_SECONDS = 0.4


def find_time_left(seconds: float) -> float:
    """Return how many of these seconds the current request has left."""
    return max(MIN_SECONDS, seconds - float(g.get("spent", 0) if g else 0))


def spend_time(seconds: float) -> None:
    """Note that the current request waited this long, for a slot or for a connection that was lost."""
    g.spent = g.get("spent", 0) + seconds


class Watchdog:
    """Watches the connections of a process that wait for a response."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # File descriptors with their deadlines. The key is not the descriptor: a new connection can get its number.
        self._watched: dict[object, tuple[int, float]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, fileno: int, deadline: float) -> Iterator[None]:
        """Shut the connection down if the block does not end before ``deadline``, by the monotonic clock.

        The waiting thread then sees the connection as lost. Raises OperationalError if there is no thread that would
        do so: nothing must wait without a deadline.
        """
        if self._thread is None or not self._thread.is_alive():  # It ends by an error, or in a copy of the process.
            self._start()
        watch = object()
        self._watched[watch] = fileno, deadline
        try:
            yield
        finally:
            with self._lock:  # Not during a shutdown: a new connection could get the number in between.
                del self._watched[watch]

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # The system allows no further thread.
                    cause = psycopg2.OperationalError(f"No thread could be started for the watchdog: {error}")
                    raise OperationalError(None, None, cause) from error
                self._thread = thread

    def _run(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            with self._lock:
                now = time.monotonic()
                for fileno in [each for each, deadline in list(self._watched.values()) if deadline < now]:
                    shut_down(fileno)


def shut_down(fileno: int) -> None:
    """Shut down a connection, given by its file descriptor; a thread that waits for it then sees it as lost."""
    with suppress(OSError), socket.socket(fileno=socket.dup(fileno)) as connection:
        connection.shutdown(socket.SHUT_RDWR)

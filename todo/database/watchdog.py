"""A deadline for every response of the database: a connection that misses it is shut down.

PostgreSQL's own timeouts end a slow statement while PostgreSQL runs. If its machine stopped, or a proxy keeps a dead
connection open, only the client can give up, and psycopg2 has no timeout for that.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHECK_SECONDS = 0.5


class Watchdog:
    """Watches the connections of a process that wait for a response."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        # File descriptors with their deadlines. The key is not the descriptor: a new connection can get its number.
        self._watched: dict[object, tuple[int, float]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, fileno: int) -> Iterator[None]:
        """Shut the connection down unless the block ends in time; the waiting thread then sees it as lost."""
        if self._thread is None:
            self._start()
        watch = object()
        self._watched[watch] = fileno, time.monotonic() + self._seconds
        try:
            yield
        finally:
            with self._lock:  # Not during a shutdown: a new connection could get the number in between.
                del self._watched[watch]

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            with self._lock:
                now = time.monotonic()
                for fileno in [each for each, deadline in list(self._watched.values()) if deadline < now]:
                    with suppress(OSError), socket.socket(fileno=socket.dup(fileno)) as connection:
                        connection.shutdown(socket.SHUT_RDWR)

"""No request waits for ever: a connection on which nothing comes in time is shut down.

PostgreSQL's own timeouts end a statement that takes too long, if PostgreSQL is there to see to it. If it is not (its
machine stopped, a proxy between that keeps the line open), only the client can give up, and psycopg2 has no way to.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHECK_SECONDS = 0.5


class Watchdog:
    """Watches the connections of a process that wait for an answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        # File descriptors, and until when. Not by descriptor: its number may be another's once a connection is lost.
        self._watched: dict[object, tuple[int, float]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, fileno: int) -> Iterator[None]:
        """Shut the connection down unless this is left in time; whoever waits on it then sees it as lost."""
        if self._thread is None:
            self._start()
        watch = object()
        self._watched[watch] = fileno, time.monotonic() + self._seconds
        try:
            yield
        finally:
            with self._lock:  # Not while it is being shut down: the number may be another's a moment later.
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

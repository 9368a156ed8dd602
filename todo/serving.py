"""The gunicorn worker that serves: gunicorn's threads, which stay a moment with a connection that goes on asking."""

import select
from concurrent.futures import Future
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

# Also the longest that somebody waits for a thread because of this: when all of them stay, and nothing comes.
STAY_MILLISECONDS = 10


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers requests that follow one another on one connection in one thread, while nobody waits for a thread.

    gunicorn's own gives the connection back after each request to the thread that watches over all, and takes it from
    there for the next; in Python, where one thread runs at a time, that is a sixth of what a request costs
    (`make bench`, docs/scaling.md).
    """

    # Connections that a thread has, or waits for one. Only the main thread writes it.
    _under_way = 0

    def enqueue_req(self, conn: Any) -> None:
        """A connection has something to read."""
        self._under_way += 1
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, future: "Future[Any]") -> None:
        """A thread gives a connection back."""
        self._under_way -= 1
        super().finish_request(conn, future)

    def handle(self, conn: Any) -> Any:
        """Answer what comes on the connection, in a thread of the pool; returns what is to become of it."""
        fate = super().handle(conn)
        while fate is True and self._goes_on(conn):
            fate = super().handle(conn)
        return fate

    def _goes_on(self, conn: Any) -> bool:
        """Wait a moment for the next request, if nobody else waits for this thread."""
        if not self.alive or self._under_way > self.cfg.threads or conn.parser.unreader.buf.getvalue():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(STAY_MILLISECONDS))

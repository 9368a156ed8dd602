"""The gunicorn worker that serves: gunicorn's threads, with less passing to and fro, and harder to hold up."""

import select
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker  # type: ignore[import-untyped]

# How long a thread waits for a connection's next request, or its first. Also the longest that somebody waits for a
# thread because of this: when all of them wait, and nothing comes.
STAY_MILLISECONDS = 10
CLOSERS = 4


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers requests that follow one another on one connection in one thread, while nobody waits for a thread.

    gunicorn's own gives the connection back after each request to the thread that watches over all, and takes it from
    there for the next; in Python, where one thread runs at a time, that is a sixth of what a request costs
    (`make bench`, docs/scaling.md). Relies on much of gunicorn's class: look at its changes when it is updated.

    Three more things differ, so that clients that are slow, or mean it ill, hold up others less: one that sends nothing
    has a thread for 10 milliseconds, not 5 seconds; one that does not close what was ended is waited for elsewhere than
    in the thread that watches over all; and when there are too many, one that has sent nothing yet has to go, or else
    the one that has been idle longest.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections that a thread has, or that wait for one. Only the main thread writes it.
        self._under_way = 0
        self._closers: ThreadPoolExecutor | None = None

    def enqueue_req(self, conn: Any) -> None:
        """Count a connection before it goes to the pool of threads."""
        self._under_way += 1
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Answer what comes on the connection, in a thread of the pool; returns what is to become of it."""
        if not conn.initialized and not conn.data_ready and not wait_for_data(conn):
            return _DEFER
        fate = super().handle(conn)
        while fate is True and self._may_stay(conn) and wait_for_data(conn):
            fate = super().handle(conn)
        return fate

    def finish_request(self, conn: Any, future: "Future[Any]") -> None:
        """Take a connection back from a thread: keep it, watch it or close it."""
        self._under_way -= 1
        answered = not future.cancelled() and future.exception() is None
        if answered and future.result() is False:
            self._close(conn)
        else:
            super().finish_request(conn, future)
        if self.nr_conns >= self.max_keepalived:
            self._make_room()

    def _may_stay(self, conn: Any) -> bool:
        """Say whether nobody else waits for this thread, and nothing of the next request has been read already."""
        return self.alive and self._under_way <= self.cfg.threads and not conn.parser.unreader.buf.getvalue()

    def _close(self, conn: Any) -> None:
        """Close a connection, for which its client is waited for up to 2 seconds, in another thread."""
        if self._closers is None:
            self._closers = ThreadPoolExecutor(CLOSERS, "closer")
        closed = self._closers.submit(conn.close, graceful=True)
        closed.add_done_callback(lambda _: self.method_queue.defer(self._forget))

    def _forget(self) -> None:
        """Count a connection no more, now that it is really closed: its place is free."""
        self.nr_conns -= 1

    def _make_room(self) -> None:
        """Close one connection: soon no more could be accepted."""
        for silent, close_expired in (
            (self.pending_conns, self.murder_pending),
            (self.keepalived_conns, self.murder_keepalived),
        ):
            if silent:
                silent[0].timeout = 0
                close_expired()
                return


def wait_for_data(conn: Any) -> bool:
    """Wait a moment for something to read, the end included; say whether there is."""
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(STAY_MILLISECONDS))

"""The gunicorn worker that serves: gunicorn's threads, with less passing to and fro, and harder to hold up."""

import select
import selectors
import socket
import struct
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.util import write_nonblock  # type: ignore[import-untyped]
from gunicorn.workers.gthread import _DEFER, STOP_KEEPALIVE_LINGER, ThreadWorker  # type: ignore[import-untyped]

from server.refusals import refuse
from todo.logs.causes import format_threads

# How long a thread waits for a connection's next request, or its first. Also the longest that somebody waits for a
# thread because of this: when all of them wait, and nothing comes.
STAY_MILLISECONDS = 10
CLOSERS = 4
# How long a thread waits for a client to take some of its answer.
SEND_SECONDS = 5
SEND_TIMEOUT = struct.pack("ll", SEND_SECONDS, 0)  # As C has a timeval.


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers requests that follow one another on one connection in one thread, while nobody waits for a thread.

    gunicorn's own gives the connection back after each request to the thread that watches over all, and takes it from
    there for the next; in Python, where one thread runs at a time, that is a sixth of what a request costs
    (`make bench`, docs/scaling.md). Relies on much of gunicorn's class: look at its changes when it is updated.

    Four more things differ, so that clients that are slow, or mean it ill, hold up others less: one that sends nothing
    has a thread for 10 milliseconds, not 5 seconds; one that does not close what was ended is waited for elsewhere than
    in the thread that watches over all; and when there are too many, one that has sent nothing yet has to go, or else
    the one that has been idle longest. And one that takes nothing of its answer is hung up on.

    And a worker that stops turns nobody away whom it has let in. One that has sent nothing yet has as long for its
    request as one that has sent some; gunicorn's own closes it at once, or keeps the worker until it is cut off. Who
    stands in the queue of the socket is let in, and then the socket is closed: whoever comes later is refused, or has
    another process, as a proxy or systemd sees to; gunicorn's own lets them stand there, and hangs up in the end.

    What goes wrong is in the log: a request that is refused here, and what was going on when a worker was stopped.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections that a thread has, or that wait for one. Only the main thread writes it.
        self._under_way = 0
        self._closers: ThreadPoolExecutor | None = None

    def run(self) -> None:
        """Serve until the worker is stopped, and log the connections that it cuts off."""
        # gunicorn's master kills the worker after its graceful_timeout: a second before, there is time for a line.
        self.cfg.set("graceful_timeout", max(0, self.cfg.graceful_timeout - 1))
        super().run()
        if self._under_way:
            self._write_threads("warning", f"Stopped with {self._under_way} connections not answered")

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop in order on Ctrl-C (SIGINT) and SIGQUIT too.

        gunicorn's handler shuts the thread pool down inside the signal, and can wait for a lock that the interrupted
        code holds; such a stop took 30 seconds.
        """
        self.handle_exit(sig, frame)

    def handle_abort(self, sig: int, frame: Any) -> None:
        """Say what was going on, when the master ends a worker that hangs."""
        self._write_threads("critical", f"The loop did not turn for {self.cfg.timeout} seconds")
        super().handle_abort(sig, frame)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn does not understand, or that failed outside of the application."""
        request, answer = refuse(exc)
        if request.status == 500:
            self.log.error("A request failed", exc_info=exc, extra={"request_id": request.request_id})
        # Under gunicorn's own options the logger may be another; after a reload its class is the old module's.
        if report := getattr(self.log, "report", None):
            report(request)
        with suppress(OSError):
            write_nonblock(client, answer)

    def _write_threads(self, level: str, message: str) -> None:
        """Write a line that has what each thread was doing."""
        self.log.log(level, message, extra={"stacks": format_threads()})

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or cease to accept connections; when the worker stops, for good."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                while is_readable(listener, 0):
                    self.accept(listener)
                listener.close()

    def enqueue_req(self, conn: Any) -> None:
        """Count a connection before it goes to the pool of threads."""
        self._under_way += 1
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Answer what comes on the connection, in a thread of the pool; returns what is to become of it."""
        if not conn.initialized:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_TIMEOUT)
            if not conn.data_ready and not wait_for_data(conn):
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
        elif answered and future.result() is _DEFER:
            self._await_request(conn)
        else:
            super().finish_request(conn, future)
        if self.nr_conns >= self.max_keepalived:
            self._make_room()

    def murder_pending(self) -> None:
        """Close the connections that have sent nothing for too long: when the worker stops, for a moment."""
        if not self.alive:
            deadline = time.monotonic() + STOP_KEEPALIVE_LINGER
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, deadline)
        super().murder_pending()

    def _await_request(self, conn: Any) -> None:
        """Watch a connection on which nothing came yet; gunicorn's own does so only while the worker goes on."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

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
    return is_readable(conn.sock, STAY_MILLISECONDS)


def is_readable(connection: Any, milliseconds: int) -> bool:
    """Say whether there is something to read, or somebody to accept, within that time."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(milliseconds))

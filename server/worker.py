"""The gunicorn worker of this service: a ThreadWorker with less overhead, which slow clients cannot block."""

import selectors
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.http import RequestParser  # type: ignore[import-untyped]
from gunicorn.util import write_nonblock  # type: ignore[import-untyped]
from gunicorn.workers.gthread import _DEFER, STOP_KEEPALIVE_LINGER  # type: ignore[import-untyped]

from server.clients import BoundedRequest, Client, is_readable
from server.refusals import make_refusal
from server.sockets import AcceptingWorker
from server.threads import STUCK_SECONDS, Pool, Threads
from todo.logs.causes import format_threads
from todo.slots import Slots

# How long a thread waits for a request on an open connection, before another thread watches the connection. This is
# also the longest that a request waits for a thread because all threads wait for silent connections.
WAIT_MILLISECONDS = 10
CLOSING_THREADS = 4


class Worker(AcceptingWorker):
    """A ThreadWorker whose threads serve consecutive requests of a connection, unless other requests wait.

    gunicorn's own hands the connection to the main thread after each request and back for the next. In Python, where
    one thread runs at a time, that is a sixth of the CPU of a request (`make bench`, docs/scaling.md). In addition:

    - A connection without a request occupies a thread for 10 ms, not for 5 s.
    - Waiting for a client to close its end happens in extra threads, not in the main thread.
    - A client that takes longer than 10 s to read its response is disconnected (clients.py).
    - There are more threads while some wait (threads.py), so /healthz responds also when the database does not. The
      log's durations include all waiting.
    - When there are too many connections, the ones without a request are closed first, then the longest idle ones.
      A connection that cannot be accepted, for lack of files, does not end the worker (sockets.py).
    - When the machine wakes up, workers are not killed because they were silent (sockets.py).
    - A worker that stops serves all connections in the socket's queue, and then closes the socket. Later connections
      are refused or reach another process. gunicorn's own leaves them in the queue until they are disconnected.
    - A worker that stops waits 2 seconds for the first request of an open connection. gunicorn's own closes such a
      connection at once, or waits for it until the worker is killed.
    - Errors of the server are responses and log lines like all others (refusals.py).

    Subclassing a worker is documented, but this class also needs internals of ThreadWorker. When gunicorn is updated,
    compare gunicorn/workers/gthread.py with the version before: the methods that are overridden here and in sockets.py,
    run() and murder_keepalived(), and the names tmp, data_ready, nr_conns, pending_conns, keepalived_conns,
    max_keepalived, method_queue, _DEFER and STOP_KEEPALIVE_LINGER. It must still write a response with sendall() of
    conn.sock, and put this socket into the WSGI environment as "gunicorn.socket". RequestParser must still create
    requests by mesg_class, and their parse() must compare with max_buffer_headers and read by read_into(). gunicorn's
    arbiter.py must still read last_update() of tmp.
    Then run test_gunicorn.py, test_logs.py and test_failures.py in tests/service, and
    test_deploys.py, test_slow_readers.py and test_silence.py in tests/proofs.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The number of connections that a thread serves or that wait for a thread. Only the main thread changes it.
        self._active = 0
        self._closers: Pool | None = None
        RequestParser.mesg_class = BoundedRequest

    def run(self) -> None:
        """Serve until the worker is stopped, and log the connections that it cuts off."""
        # One second before gunicorn's master kills the worker.
        self.cfg.set("graceful_timeout", max(0, self.cfg.graceful_timeout - 1))
        super().run()
        if self._active:
            self._log_threads("warning", f"Stopped with {self._active} connections not answered")

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop in order on Ctrl-C (SIGINT) and SIGQUIT too.

        gunicorn's handler shuts the thread pool down inside the signal, and can wait for a lock that the interrupted
        code holds; such a stop took 30 seconds.
        """
        self.handle_exit(sig, frame)

    def handle_abort(self, sig: int, frame: Any) -> None:
        """Log what the threads were doing when the master ends a worker that hangs."""
        self._log_threads("critical", f"The main loop hung for {self.cfg.timeout} seconds")
        super().handle_abort(sig, frame)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Send the response to a request that gunicorn cannot parse, or that failed outside of the application."""
        request, response = make_refusal(exc, getattr(self.wsgi, "extensions", {}).get("origins"))
        if request.status == 500:
            self.log.error("A request failed", exc_info=exc, extra={"request_id": request.request_id})
        # gunicorn's options may set another logger class. isinstance() would fail after a reload.
        if report := getattr(self.log, "report", None):
            report(request)
        with suppress(OSError):
            write_nonblock(client, response)

    def _log_threads(self, level: str, message: str) -> None:
        """Log a message with the stack of each thread."""
        self.log.log(level, message, extra={"stacks": format_threads()})

    def get_thread_pool(self) -> Threads:
        """Create the threads of the worker."""
        return Threads(self.cfg.threads)

    def load_wsgi(self) -> None:
        """Load the application. While a request waits for a slot, there may be another thread."""
        super().load_wsgi()
        slots: Slots | None = getattr(self.wsgi, "extensions", {}).get("slots")
        if slots is not None:
            slots.wait = partial(self.tpool.wait_beside, slots.wait)  # type: ignore[method-assign]

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Handle events in gunicorn's main loop, and add a thread if all are stuck."""
        super().wait_for_and_dispatch_events(min(timeout, STUCK_SECONDS) if self.tpool.has_waiting() else timeout)
        self.tpool.grow_if_stuck()

    def enqueue_req(self, conn: Any) -> None:
        """Count a connection before it goes to the pool of threads."""
        self._active += 1
        conn.queued_at = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serve requests on the connection in a thread of the pool, and return what finish_request() is to do."""
        self.tpool.started_at = started_at = time.monotonic()
        if not conn.initialized:
            if not isinstance(conn.sock, Client):
                conn.sock = Client.adopt(conn.sock)
            if not conn.data_ready and not wait_for_data(conn):
                return _DEFER
            conn.data_ready = True  # Otherwise, gunicorn's own opens a file to wait again.
        conn.sock.waited = started_at - conn.queued_at
        result = super().handle(conn)
        while result is True and self._may_wait(conn) and wait_for_data(conn):
            conn.sock.waited = 0.0
            self.tpool.started_at = time.monotonic()  # A thread that serves one request after the other is not stuck.
            result = super().handle(conn)
        return result

    def finish_request(self, conn: Any, future: "Future[Any]") -> None:
        """Watch or close a connection that a thread has served."""
        self._active -= 1
        done = not future.cancelled() and future.exception() is None
        if done and future.result() is False:
            self._close(conn)
        elif done and future.result() is _DEFER:
            self._watch(conn)
        else:
            super().finish_request(conn, future)
        if self.nr_conns >= self.max_keepalived:
            self.close_idle()

    def murder_pending(self) -> None:
        """Close the connections without a request, after the keepalive time or soon after the worker stops."""
        if not self.alive:
            deadline = time.monotonic() + STOP_KEEPALIVE_LINGER
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, deadline)
        super().murder_pending()

    def _watch(self, conn: Any) -> None:
        """Wait for a connection's first request in the main thread; gunicorn's own does not when the worker stops."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _may_wait(self, conn: Any) -> bool:
        """Return whether no other connection needs this thread, and no part of the next request was read already."""
        return self.alive and self._active <= self.cfg.threads and not conn.parser.unreader.buf.getvalue()

    def _close(self, conn: Any) -> None:
        """Close a connection in another thread, because this waits up to 2 seconds for the client."""
        if self._closers is None:
            self._closers = Pool(CLOSING_THREADS, "closer")
        try:
            closed = self._closers.submit(conn.close, graceful=True)
        except RuntimeError:  # The system allows no thread.
            conn.close()
            self._count_closed()
        else:
            closed.add_done_callback(lambda _: self.method_queue.defer(self._count_closed))

    def _count_closed(self) -> None:
        """Reduce the number of open connections."""
        self.nr_conns -= 1


def wait_for_data(conn: Any) -> bool:
    """Wait shortly for bytes or the end of the connection, and return whether there are any."""
    return is_readable(conn.sock, WAIT_MILLISECONDS)

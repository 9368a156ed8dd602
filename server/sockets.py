"""Accepts connections, also while the process has too few files, and tells gunicorn's master that the worker lives."""

import logging
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from server.clients import is_readable
from server.limits import describe_limit

log = logging.getLogger(__name__)

# After a connection that could not be accepted. The others are still in the queue, so the main loop would spin.
PAUSE_SECONDS = 0.02
# Between two warnings about that.
WARNING_SECONDS = 60


class Heartbeat:
    """The file whose time a worker sets each second. gunicorn's master kills a worker whose time is too old.

    All times are too old when the master wakes up after a pause: the machine slept, a container was paused, or the
    processes were stopped (SIGSTOP). So the workers get the whole timeout again after a pause of the master.
    """

    def __init__(self, file: Any, timeout: float) -> None:
        self._file = file
        self.notify, self.fileno, self.close = file.notify, file.fileno, file.close
        # The master asks each second. If more than half of the timeout is left, workers need no further time.
        self._longest = 1 + timeout / 2
        self._asked_at = self._awake_since = time.monotonic()

    def last_update(self) -> float:
        """Return when the worker set the time last, or when the master's last pause ended."""
        now = time.monotonic()
        if now - self._asked_at > self._longest:
            self._awake_since = now
        self._asked_at = now
        return max(float(self._file.last_update()), self._awake_since)


class AcceptingWorker(ThreadWorker):  # type: ignore[misc]
    """A ThreadWorker that goes on when it cannot accept a connection, and after the machine slept."""

    tmp: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tmp = Heartbeat(self.tmp, self.cfg.timeout)
        self._warned_at = -float(WARNING_SECONDS)

    def notify(self) -> None:
        """Tell the master that the worker lives, and the log what could not be written. Called each second."""
        super().notify()
        if output := getattr(self.log, "output", None):  # gunicorn's options may set another logger class.
            output.flush()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Warn at the start if there can be only few connections."""
        super().check_config(cfg, log)
        if warning := describe_limit(cfg.worker_connections, cfg.threads):
            log.warning("%s", warning)

    def accept(self, listener: Any) -> bool:
        """Accept a connection, and return whether that was possible. gunicorn's own ends the worker if it was not."""
        try:
            super().accept(listener)
        except OSError as error:
            if time.monotonic() - self._warned_at >= WARNING_SECONDS:
                self._warned_at = time.monotonic()
                log.warning("Connections cannot be accepted (%s); idle ones are closed", error.strerror)
            self.close_idle()
            time.sleep(PAUSE_SECONDS)
            return False
        return True

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting connections; a worker that stops serves the socket's queue and closes the socket."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                while is_readable(listener, 0) and self.accept(listener):
                    pass
                listener.close()

    def close_idle(self) -> None:
        """Let the main loop close one idle connection, because soon no more can be accepted.

        It does so after this round of events, of which one may be a request on that connection.
        """
        for idle in (self.pending_conns, self.keepalived_conns):
            for conn in idle:
                if conn.timeout > 0:
                    conn.timeout = 0
                    return

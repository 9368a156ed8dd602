"""The process that keeps an embedded PostgreSQL running: ``python -m embedded.supervisor HOME``."""

import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Event

from embedded.cluster import Cluster, is_alive
from embedded.errors import EmbeddedError
from embedded.files import Home, try_lock

POLL_SECONDS = 0.1
READY = "ready"


def main(home: Home) -> int:
    """Start a supervisor; return 0 once the server answers. If it cannot start, print the cause and return 1.

    Also returns 0 if the supervisor was killed: the caller finds no server, and tries again.
    """
    read_end, write_end = os.pipe()
    if child := os.fork():
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            report = pipe.read()
        if report == READY or (not report and os.WIFSIGNALED(os.waitpid(child, 0)[1])):
            return 0
        print(report)
        return 1
    os.close(read_end)
    # The caller reads standard output to its end, so the supervisor must not keep it. Standard error is the log.
    os.dup2(2, 1)
    try:
        supervise(home, write_end)
    except Exception as error:
        if not isinstance(error, EmbeddedError):
            traceback.print_exc()
        print(f"supervisor: {error}", flush=True)
        with suppress(OSError):  # The report was sent before.
            send(write_end, str(error) or type(error).__name__)
        return 1
    return 0


def send(write_end: int, report: str) -> None:
    """Send the only report, and close the pipe; raises OSError if it is closed."""
    with suppress(BrokenPipeError):  # The process that waited for the report was stopped.
        os.write(write_end, report.encode())
    os.close(write_end)


def supervise(home: Home, write_end: int) -> None:
    """Start the server, report that it is ready, and keep it until no process holds users.lock.

    Reports at once if another supervisor keeps the server. Raises EmbeddedError, OSError or psutil.Error if it
    cannot start.
    """
    own_lock, users_lock = home.open_supervisor_lock(), home.open_users_lock()
    if not try_lock(own_lock):
        send(write_end, READY)
        return
    told_to_stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    cluster = Cluster(home)
    cluster.create()
    server = cluster.find_server() or cluster.start()
    send(write_end, READY)
    while not told_to_stop.is_set() and not try_lock(users_lock):
        if not is_alive(server):
            server = cluster.start()
        time.sleep(POLL_SECONDS)
    cluster.stop(server)


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1]))))

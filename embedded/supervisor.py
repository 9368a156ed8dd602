"""The process that keeps an embedded PostgreSQL: ``python -m embedded.supervisor HOME``."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from embedded.cluster import Cluster, is_alive
from embedded.files import Home, try_lock

POLL_SECONDS = 0.1


def main(home: Home) -> int:
    """Start the server; return 0 once it answers, while a child process goes on to keep it, or 1 if it cannot start."""
    read_end, write_end = os.pipe()
    if os.fork() > 0:
        os.close(write_end)
        return 0 if os.read(read_end, 1) else 1
    os.close(read_end)

    def report_ready() -> None:
        with suppress(BrokenPipeError):  # Who waited for this may have been stopped.
            os.write(write_end, b".")

    try:
        keep(home, report_ready)
    except (RuntimeError, OSError, subprocess.SubprocessError, psutil.Error) as error:
        print(f"supervisor: {error}", flush=True)
        return 1
    return 0


def keep(home: Home, report_ready: Callable[[], object]) -> None:
    """Keep the server until nobody holds users.lock; nothing to do if another supervisor does."""
    own_lock, users_lock = home.open_supervisor_lock(), home.open_users_lock()
    if not try_lock(own_lock):
        report_ready()
        return
    told_to_stop = False

    def stop(signum: int, frame: object) -> None:
        nonlocal told_to_stop
        told_to_stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    cluster = Cluster(home)
    cluster.create()
    server = cluster.find_server() or cluster.start()
    report_ready()
    while not told_to_stop and not try_lock(users_lock):
        if not is_alive(server):
            server = cluster.start()
        time.sleep(POLL_SECONDS)
    cluster.stop(server)


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1]))))

"""What the operating system allows: how many connections a worker may have, and where its heartbeat file is."""

import os
import resource
import sys
import tempfile

# The most connections of clients per worker.
MOST_CONNECTIONS = 900
# A process's other files: streams, sockets, pipes, scrapers of the metrics, and requests for keys and names.
OTHER_FILES = 40


def limit_connections(workers: int, threads: int) -> int:
    """Return how many connections of clients a worker may have, so that it can always open another file.

    A process may raise its own limit of open files up to the hard limit. Exits with one line if that is too low.
    """
    limit = raise_limit(max(count_files(MOST_CONNECTIONS, threads), count_master_files(workers)))
    least = max(count_files(2 * threads, threads), count_master_files(workers))
    if limit < least:
        sys.exit(f"Error: the limit of open files (ulimit -n) is {limit}: at least {least} are needed")
    return min(MOST_CONNECTIONS, limit - count_files(0, threads))


def count_files(connections: int, threads: int) -> int:
    """Return how many files a worker needs: each thread has a connection to the database."""
    return connections + threads + OTHER_FILES


def count_master_files(workers: int) -> int:
    """Return how many files the master needs: one for each worker. During a reload, there are twice as many."""
    return 2 * workers + OTHER_FILES


def raise_limit(wanted: int) -> int:
    """Raise the limit of open files of this process to the wanted number, or as far as possible, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def describe_limit(connections: int, threads: int) -> str | None:
    """Return a warning if the limit of open files is the reason why a worker may have so few connections."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if connections >= MOST_CONNECTIONS or connections != limit - count_files(0, threads):
        return None
    return (
        f"The limit of open files (ulimit -n) is {limit}, so each worker has at most {connections} connections of"
        f" clients, and closes idle ones early. Raise it to {count_files(MOST_CONNECTIONS, threads)}."
    )


def find_heartbeat_folder() -> str | None:
    """Return a folder in memory for the files that tell gunicorn that workers are alive; None for the temporary one.

    A disk that is slow would make workers look hung. Exits with one line if no folder is writable.
    """
    if os.access("/dev/shm", os.W_OK | os.X_OK):  # noqa: S108 - gunicorn creates the file with a random name
        return "/dev/shm"  # noqa: S108
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        sys.exit("Error: no folder for temporary files is writable: mount one at /tmp, or name one in TMPDIR")
    return None

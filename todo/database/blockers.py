"""Tells the operator which sessions a migration waits for, and ends the wait if it takes too long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

CHECK_SECONDS = 0.5

BLOCKERS = text(
    "SELECT pg_catalog.set_config('search_path', '', true); " + Path(__file__).with_suffix(".sql").read_text()
)
CANCEL = text("SELECT pg_catalog.pg_cancel_backend(:pid)")


class Blocker(NamedTuple):
    """A session that holds a lock, the session that waits for it, and a description for the operator."""

    pid: int
    waiting: int | None
    description: str


def find_blockers(connection: Connection, *, pid: int | None = None, key: int | None = None) -> list[Blocker]:
    """Return the sessions that block the session ``pid``, or that hold the advisory lock ``key``."""
    return [Blocker(*row) for row in connection.execute(BLOCKERS, {"pid": pid, "key": key})]


def describe_blockers(blockers: list[Blocker]) -> str:
    """Return the descriptions in one line."""
    return "; ".join(blocker.description for blocker in blockers) or "a session that has ended"


class Watch:
    """Looks at a session from a connection of its own, and tells each new session that blocks it.

    The connection must use autocommit: CREATE INDEX CONCURRENTLY waits for the end of older transactions. After
    ``patience`` seconds of waiting, the watch cancels the statement, and ``gave_up`` is true.
    """

    def __init__(self, connection: Connection, tell: Callable[[str], None], patience: float) -> None:
        self.pid: int | None = None
        self.blockers: list[Blocker] = []
        self.gave_up = False
        self._connection, self._tell, self._patience = connection, tell, patience
        self._done = threading.Event()

    def find_session(self, connection: Connection) -> None:
        """Look at this connection from now on: SQLAlchemy's event at the beginning of a transaction.

        Behind PgBouncer, each transaction can have another session.
        """
        self.pid = connection.exec_driver_sql("SELECT pg_catalog.pg_backend_pid()").scalar_one()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look during the block."""
        thread = threading.Thread(target=self._run, name="blockers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _run(self) -> None:
        told: set[int] = set()
        since = monotonic()
        while not self._done.wait(CHECK_SECONDS):
            try:
                blockers = find_blockers(self._connection, pid=self.pid)
                if not blockers:
                    since = monotonic()
                    continue
                self.blockers = blockers
                if new := [blocker for blocker in blockers if blocker.pid not in told]:
                    told |= {blocker.pid for blocker in new}
                    self._tell(describe_blockers(new))
                if monotonic() - since > self._patience:
                    self.gave_up = True
                    for pid in {blocker.waiting for blocker in blockers}:
                        self._connection.execute(CANCEL, {"pid": pid})
            except SQLAlchemyError:
                return  # The migration itself reports that the database is gone.

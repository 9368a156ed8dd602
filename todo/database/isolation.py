"""Every statement runs as the user it is for, and the database itself keeps users apart.

psycopg2 sends a string of several statements as one message, which PostgreSQL runs as one implicit
transaction. So on an autocommit connection this, in one round trip,

    SELECT set_config('role', 'todo_app', true), set_config('todo.user_id', …, true), …; UPDATE …

runs the UPDATE as ``todo_app``, a role that owns nothing and that row security binds, and afterwards
role and settings are back: nothing leaks through a pool, PgBouncer's transaction mode included.

Citus needs them one by one, in a transaction: only so do its shards see what is set (statements.py).

``fetch`` is the only way to the tables: it wants the user first. Whatever else is sent through SQLAlchemy raises before
it is sent, unless it says that it administers; nothing but this file takes a bare connection from the pool. What this
stops is the forgotten filter. Injected SQL could set the role back: values are bound, never formatted.
"""

import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from flask import current_app
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidRequestError

from config import Settings
from todo import signals
from todo.database.statements import SETTINGS, SHAPES, Row, Statement
from todo.database.watchdog import Watchdog
from todo.extensions import db

# Beyond what PostgreSQL allows a statement, before it counts as lost.
GRACE_SECONDS = 2


class NoUserError(RuntimeError):
    """A statement was refused before it was sent: it has no user."""


class Isolation:
    """Sends statements as users, over the connections of an engine."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.watchdog = Watchdog(settings.statement_seconds + GRACE_SECONDS)
        self.engine = engine
        # Straight from the pool: SQLAlchemy's Connection takes three times as long as psycopg2 itself. Metrics wrap it.
        self.take_connection: Callable[[], Any] = engine.raw_connection
        self._seconds = settings.statement_seconds
        self._lock_seconds = settings.lock_seconds
        self._lost_at = 0.0
        # Citus reaches its shards as the role.
        self.role_may_log_in = settings.transactions == "explicit"
        self._shape = SHAPES[settings.transactions](SETTINGS)

    def fetch(
        self, user_id: str, statement: Statement, values: Mapping[str, Any], *, repeatable: bool, seconds: int | None
    ) -> Sequence[Row]:
        """Send it, and again if that is harmless; see the function of this name."""
        bound = {
            **statement.constants,
            **values,
            "todo_user_id": user_id,
            "todo_statement_timeout": f"{seconds or self._seconds}s",
            # Less than the statement's, so that to wait for a lock is told from to take too long.
            "todo_lock_timeout": f"{seconds * 500}ms" if seconds else f"{self._lock_seconds}s",
        }
        try:
            return self._send(statement, bound)
        except DBAPIError as error:
            if not (repeatable and error.connection_invalidated):
                raise
        signals.statement_repeated.send()
        return self._send(statement, bound)

    def _send(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[Row]:
        """Send it once. Whoever answers nothing in time is hung up on."""
        connection: Any = None
        try:
            connection = self._connect()
            with self.watchdog.watch(connection.fileno()), connection.cursor() as cursor:
                rows = self._shape.run(cursor, statement, values)
        except psycopg2.Error as error:
            lost = connection is not None and bool(connection.dbapi_connection.closed)
            if lost:
                self._lost_at = time.time()
                signals.connection_lost.send()
            raise DBAPIError.instance(
                statement.text, None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=lost
            ) from error
        else:
            return rows
        finally:
            if connection is not None:
                # Nobody else may get one that is closed, or in the middle of something.
                if connection.dbapi_connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
                    connection.invalidate()
                connection.close()

    def _connect(self) -> Any:
        """Take a connection from the pool; raises psycopg2.Error."""
        try:
            return self.take_connection()
        except InvalidRequestError as error:  # Twice in a row, a new one was closed before it was used.
            raise psycopg2.OperationalError("Connections are closed as soon as they are made") from error

    def refuse_dead(self, connection: Any, record: Any, proxy: Any) -> None:
        """SQLAlchemy's event before a connection is used; raises DisconnectionError for one that is dead.

        An idle connection has nothing to read; if there is something, the server has closed it. Costs no round trip. A
        live one with a notice to read is replaced too, which costs one connection. When one was lost in use, all that
        are older may be dead in silence, as after a failover: they are replaced too, when they are needed.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLHUP)
        if record.last_connect_time < self._lost_at or poll.poll(0):
            raise DisconnectionError("The connection was closed while it was idle")


def init_app(app: Any, engine: Engine, settings: Settings) -> None:
    """Make ``fetch`` the only way to this engine's tables."""
    isolation = app.extensions["isolation"] = Isolation(engine, settings)
    event.listen(engine, "checkout", isolation.refuse_dead)
    event.listen(engine, "before_cursor_execute", refuse_without_user)


def fetch(
    user_id: str,
    statement: Statement,
    values: Mapping[str, Any],
    *,
    repeatable: bool = False,
    seconds: int | None = None,
) -> Sequence[Row]:
    """Run a statement as that user and return its rows: one round trip, committed when this returns.

    ``seconds`` bounds it, if not as the settings do. If the connection is lost while it runs, nobody knows whether it
    was committed: only what is ``repeatable``, a read or a creation under a key, is sent again, once. Raises
    SQLAlchemy's DBAPIError, or its TimeoutError when no connection was free in time.
    """
    isolation: Isolation = current_app.extensions["isolation"]
    return isolation.fetch(user_id, statement, values, repeatable=repeatable, seconds=seconds)


@contextmanager
def administration() -> Iterator[Connection]:
    """A bare connection, for what no user asks for: migrations and readiness."""
    with db.engine.connect() as connection:
        yield connection.execution_options(administers=True)


@contextmanager
def watched_administration() -> Iterator[Connection]:
    """The same for a request: whoever answers nothing in time is hung up on."""
    isolation: Isolation = current_app.extensions["isolation"]
    with administration() as connection, isolation.watchdog.watch(connection.connection.fileno()):
        yield connection


def refuse_without_user(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    """SQLAlchemy's event before it sends a statement; raises NoUserError unless it administers."""
    options = context.execution_options if context else connection.get_execution_options()
    if not options.get("administers"):
        raise NoUserError(
            "A statement was sent without a user: use isolation.fetch(user_id, …), or isolation.administration()"
        )

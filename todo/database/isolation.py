"""Every statement runs as its user, and the database itself keeps users apart.

psycopg2 sends several statements as one message, which PostgreSQL runs as one transaction. So on an autocommit
connection this takes one round trip:

    SELECT set_config('role', 'todo_app', true), set_config('todo.user_id', …, true), …; UPDATE …

The UPDATE runs as ``todo_app``, a role that owns nothing and that row security binds. Afterwards, role and user are
reset, so nothing leaks through a pool, nor through PgBouncer's transaction mode. messages.py sends such messages; where
it can, both are prepared statements.

``fetch`` is the only way to the tables, and its first argument is the user. Any other statement raises NoUserError
before it is sent, unless it declares itself as administration. Only this file gives out a raw cursor. This protects
against a forgotten filter. It does not protect against injected SQL, which could reset the role. So values are bound as
parameters, and never formatted into a statement.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import current_app
from psycopg2.errors import ReadOnlySqlTransaction
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from config import Settings
from todo import signals
from todo.database.connections import Connections
from todo.database.messages import CURABLE, Messages
from todo.database.statements import Statement
from todo.database.watchdog import GRACE_SECONDS, find_time_left, spend_time
from todo.extensions import current_settings, db

T = TypeVar("T")


class NoUserError(RuntimeError):
    """A statement without a user was not sent."""


class Isolation:
    """Sends statements as users over connections of the pool."""

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self.connections = connections
        self._seconds = settings.statement_seconds
        self._lock_seconds = settings.lock_seconds
        # Citus logs in to its shards as the role.
        self.role_may_log_in = settings.citus == "on"
        self.messages = Messages(citus=settings.citus == "on")

    def fetch(
        self,
        user_id: str,
        statement: Statement[T],
        values: Mapping[str, Any],
        *,
        repeatable: bool,
        seconds: int | None,
    ) -> Sequence[T]:
        """Send a statement; see the function ``fetch``."""
        started = time.monotonic()
        bound = {**statement.constants, **values, "todo_user_id": user_id}
        try:
            return self._send(statement, bound, seconds)
        except DBAPIError as error:
            # Nothing was done if a former primary refused to write, or if a prepared statement could not be used.
            undone = repeatable or isinstance(error.orig, ReadOnlySqlTransaction)
            if not (undone and error.connection_invalidated) and not isinstance(error.orig, CURABLE):
                raise
        spend_time(time.monotonic() - started)
        signals.statement_repeated.send()
        return self._send(statement, bound, seconds)

    def _send(self, statement: Statement[T], values: dict[str, Any], seconds: int | None) -> Sequence[T]:
        """Send a statement once."""
        deadline = time.monotonic() + find_time_left(self._seconds + GRACE_SECONDS)
        values["todo_statement_timeout"] = f"{(seconds or find_time_left(self._seconds)) * 1000:.0f}ms"
        # The lock timeout comes first, so a lock and a slow statement give different errors.
        values["todo_lock_timeout"] = f"{(seconds / 2 if seconds else self._lock_seconds) * 1000:.0f}ms"
        with self.connections.use(statement.text, deadline) as connection, connection.cursor() as cursor:
            return self.messages.run(cursor, connection.info, statement, values)


def init_app(app: Any, engine: Engine, settings: Settings) -> None:
    """Make ``fetch`` the only way to the tables of this engine."""
    app.extensions["isolation"] = Isolation(Connections(engine, settings), settings)
    event.listen(engine, "before_cursor_execute", refuse_without_user)


def fetch(
    user_id: str,
    statement: Statement[T],
    values: Mapping[str, Any],
    *,
    repeatable: bool = False,
    seconds: int | None = None,
) -> Sequence[T]:
    """Run a statement as a user and return its rows: one round trip, committed when this returns.

    ``seconds`` replaces the timeout of the settings. If the connection is lost while the statement runs, it may or may
    not have been committed. So only a ``repeatable`` statement is sent again, once: a read, or a write under a key.
    Raises SQLAlchemy's DBAPIError, or its TimeoutError if no connection is free in time.
    """
    isolation: Isolation = current_app.extensions["isolation"]
    return isolation.fetch(user_id, statement, values, repeatable=repeatable, seconds=seconds)


@contextmanager
def administration() -> Iterator[Connection]:
    """Give a connection without a user, for migrations and /readyz."""
    with db.engine.connect() as connection:
        yield connection.execution_options(administers=True)


@contextmanager
def watched_administration() -> Iterator[Connection]:
    """Give such a connection for a request: a server that does not respond in time loses it."""
    isolation: Isolation = current_app.extensions["isolation"]
    deadline = time.monotonic() + find_time_left(current_settings().statement_seconds + GRACE_SECONDS)
    watch, connect = isolation.connections.watchdog.watch, administration()
    with connect as connection, watch(connection.connection.fileno(), deadline):
        yield connection


def refuse_without_user(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    """Raise NoUserError unless the statement is administration: SQLAlchemy's event before a statement is sent."""
    options = context.execution_options if context else connection.get_execution_options()
    if not options.get("administers"):
        raise NoUserError(
            "A statement was sent without a user: use isolation.fetch(user_id, …), or isolation.administration()"
        )

"""Every statement runs as the user it is for, and the database itself keeps users apart.

psycopg2 sends a string of several statements as one message, which PostgreSQL runs as one implicit
transaction. So on an autocommit connection this, in one round trip,

    SELECT set_config('role', 'todo_app', true), set_config('todo.user_id', …, true), …; UPDATE …

runs the UPDATE as ``todo_app``, a role that owns nothing and that row security binds, and afterwards
role and settings are back: nothing leaks through a pool, PgBouncer's transaction mode included.

A statement that says neither whose it is nor that it administers raises before it is sent. What this
stops is the forgotten filter. Injected SQL could set the role back: values are bound, never formatted;
and raw DBAPI cursors, which no event sees, are out of bounds.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flask import current_app
from sqlalchemy import Connection, Engine, Executable, Row, event
from sqlalchemy.exc import DBAPIError

from config import Settings
from todo.extensions import db
from todo.watchdog import Watchdog

ROLE = "todo_app"


def build_prefix(settings: Settings) -> str:
    """Return what goes before every statement, with the user left open.

    The time zone too: answers are in UTC whatever the server's or the role's default is.
    """
    return (
        f"SELECT set_config('role', '{ROLE}', true),"
        " set_config('todo.user_id', %(todo_user_id)s, true),"
        " set_config('statement_timeout', %(todo_statement_timeout)s, true),"
        f" set_config('lock_timeout', '{settings.lock_seconds}s', true),"
        # Statements are small: to compile one costs more than it saves.
        " set_config('jit', 'off', true), set_config('timezone', 'UTC', true); "
    )


class NoUserError(RuntimeError):
    """A statement was refused before it was sent: it has no user, or a form that the user could not be put before."""


def fetch(
    user_id: str,
    statement: Executable,
    values: Mapping[str, Any] | None = None,
    *,
    repeatable: bool = False,
    seconds: int | None = None,
) -> Sequence[Row[Any]]:
    """Run one statement as that user and return its rows: one round trip, committed when this returns.

    ``seconds`` bounds it, if not as the settings do. If the connection is lost while it runs, nobody knows whether it
    was committed: only what is ``repeatable``, a read or a creation under a key, is sent again, once. Raises
    SQLAlchemy's DBAPIError, or its TimeoutError when no connection was free in time.
    """
    try:
        return send(user_id, statement, values, seconds)
    except DBAPIError as error:
        if not (repeatable and error.connection_invalidated):
            raise
    return send(user_id, statement, values, seconds)


def send(
    user_id: str, statement: Executable, values: Mapping[str, Any] | None, seconds: int | None
) -> Sequence[Row[Any]]:
    """Run one statement as that user, once; whoever answers nothing in time is hung up on."""
    watchdog: Watchdog = current_app.extensions["watchdog"]
    with db.engine.connect() as connection, watchdog.watch(connection.connection.fileno()):
        options = {"user_id": user_id, "seconds": seconds}
        return connection.execute(statement, values, execution_options=options).all()


@contextmanager
def administration() -> Iterator[Connection]:
    """A bare connection, for what no user asks for: migrations and readiness."""
    with db.engine.connect() as connection:
        yield connection.execution_options(administers=True)


@contextmanager
def watched_administration() -> Iterator[Connection]:
    """The same for a request: whoever answers nothing in time is hung up on."""
    watchdog: Watchdog = current_app.extensions["watchdog"]
    with administration() as connection, watchdog.watch(connection.connection.fileno()):
        yield connection


def guard(engine: Engine, settings: Settings) -> None:
    """Put every statement of this engine behind the prefix, or refuse it."""
    prefix = build_prefix(settings)

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def become_user(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        options = context.execution_options if context else connection.get_execution_options()
        user_id = options.get("user_id")
        if user_id is None:
            if options.get("administers"):
                return statement, parameters
            raise NoUserError(
                "A statement was sent without a user: use isolation.fetch(user_id, …), or isolation.administration()"
            )
        if executemany or not isinstance(parameters, dict):
            raise NoUserError("For a user, send one statement with named parameters")
        if cursor.name is not None:
            # A server-side cursor would make the prefix a query to be read later, and run the rest as the login.
            raise NoUserError("For a user, do not stream results")
        timeout = f"{options.get('seconds') or settings.statement_seconds}s"
        return prefix + statement, {**parameters, "todo_user_id": user_id, "todo_statement_timeout": timeout}

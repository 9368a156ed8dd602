"""Every statement runs as the user it is for, and the database itself keeps users apart.

psycopg2 sends a string of several statements as one message, which PostgreSQL runs as one implicit
transaction. So on an autocommit connection this, in one round trip,

    SELECT set_config('role', 'todo_app', true), set_config('todo.user_id', …, true), …; UPDATE …

runs the UPDATE as ``todo_app``, a role that owns nothing and that row security binds, and afterwards
role and settings are back: nothing leaks through a pool, PgBouncer's transaction mode included.

Where a message of several statements is not to be had (Citus), they go out one by one, in a transaction.

``fetch`` is the only way to the tables: it wants the user first. Whatever else is sent over the engine raises before it
is sent, unless it says that it administers. What this stops is the forgotten filter. Injected SQL could set the role
back: values are bound, never formatted.
"""

import select
import time
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from flask import current_app
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, new_type, register_type
from sqlalchemy import ClauseElement, Connection, Engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidRequestError

from config import Settings
from todo.extensions import db
from todo.watchdog import Watchdog

ROLE = "todo_app"
DIALECT = make_url("postgresql+psycopg2://").get_dialect()()
# Beyond what PostgreSQL allows a statement, before it counts as lost.
GRACE_SECONDS = 2

Row = Any  # A named tuple; its members depend on the statement.


def write_time(text: Any, cursor: Any) -> str | None:
    """Return a time as RFC 3339 has it, from how PostgreSQL writes one in UTC, as every statement has it.

    To make a datetime of it, and that a text again, would be an eighth of what a list costs.
    """
    if text is None:
        return None
    if text[10] != " " or text[-3:] != "+00":
        raise ValueError(f"{text} is no time from the years 1 to 9999 in UTC")
    return f"{text[:10]}T{text[11:-3]}Z"


TIMESTAMPTZ = 1184  # PostgreSQL's number of the type
TIME = new_type((TIMESTAMPTZ,), "TIME", write_time)


class NoUserError(RuntimeError):
    """A statement was refused before it was sent: it has no user."""


class Statement:
    """What is sent for a user, compiled once: that takes many times as long as to send it.

    Several ones run one after the other in one transaction; the rows are the last one's.
    """

    def __init__(self, *parts: ClauseElement) -> None:
        compiled = [part.compile(dialect=DIALECT) for part in parts]
        self.parts = [str(part) for part in compiled]
        self.text = "; ".join(self.parts)
        # Of the values only those that the statement has from the start, not those that come with each request.
        self.constants = {name: value for part in compiled for name, value in part.params.items() if value is not None}
        self._make_row: Callable[[Iterable[Any]], Row] | None = None

    def make_rows(self, cursor: Any) -> list[Row]:
        """Return what the statement found, its columns by name. Their names are read once: they stay the same."""
        if self._make_row is None:
            names = [column.name for column in cursor.description]
            self._make_row = namedtuple("Row", names, rename=True)._make  # type: ignore[attr-defined] # noqa: PYI024
        return list(map(self._make_row, cursor.fetchall()))


class Isolation:
    """Sends statements as users, over the connections of an engine."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.watchdog = Watchdog(settings.statement_seconds + GRACE_SECONDS)
        self._engine = engine
        self._seconds = settings.statement_seconds
        self._lost_at = 0.0
        # Citus reaches its shards as the role.
        self.role_may_log_in = settings.transactions == "explicit"
        self._shape = SHAPES[settings.transactions](build_settings(settings))

    def fetch(
        self, user_id: str, statement: Statement, values: Mapping[str, Any], *, repeatable: bool, seconds: int | None
    ) -> Sequence[Row]:
        """See the function of this name."""
        bound = {
            **statement.constants,
            **values,
            "todo_user_id": user_id,
            "todo_statement_timeout": f"{seconds or self._seconds}s",
        }
        try:
            return self._send(statement, bound)
        except DBAPIError as error:
            if not (repeatable and error.connection_invalidated):
                raise
        return self._send(statement, bound)

    def _send(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[Row]:
        """Send it once. Whoever answers nothing in time is hung up on."""
        connection: Any = None
        try:
            connection = self._connect()
            with self.watchdog.watch(connection.fileno()), connection.cursor() as cursor:
                register_type(TIME, cursor)
                rows = self._shape.run(cursor, statement, values)
        except psycopg2.Error as error:
            lost = connection is not None and bool(connection.dbapi_connection.closed)
            if lost:
                self._lost_at = time.time()
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
        """Take a connection from SQLAlchemy's pool; raises psycopg2.Error.

        Without its Connection: that takes three times as long as psycopg2 itself.
        """
        try:
            return self._engine.raw_connection()
        except InvalidRequestError as error:  # Twice in a row, a new one was closed before it was used.
            raise psycopg2.OperationalError("Connections are closed as soon as they are made") from error

    def refuse_dead(self, connection: Any, record: Any, proxy: Any) -> None:
        """SQLAlchemy's event before a connection is used; raises DisconnectionError for one that is dead.

        An idle connection has nothing to read; if there is something, the server has closed it. Costs no round trip. A
        live one with a notice to read is replaced too, which costs one connection. When one was lost in silence, so may
        be all that are older.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLHUP)
        if record.last_connect_time < self._lost_at or poll.poll(0):
            raise DisconnectionError("The connection was closed while it was idle")


def build_settings(settings: Settings) -> dict[str, str]:
    """Return what is set for each statement, by name, the user and the time it may take left open.

    How times are written too: answers are in UTC whatever the server's or the role's default is.
    """
    return {
        "role": f"'{ROLE}'",
        "todo.user_id": "%(todo_user_id)s",
        "statement_timeout": "%(todo_statement_timeout)s",
        "lock_timeout": f"'{settings.lock_seconds}s'",
        "jit": "'off'",  # Statements are small: to compile one costs more than it saves.
        "timezone": "'UTC'",
        "datestyle": "'ISO'",
    }


class Message:
    """A statement behind its settings, in one message and so in one round trip; PostgreSQL makes it one transaction."""

    def __init__(self, become_user: Mapping[str, str]) -> None:
        self._prefix = ", ".join(f"set_config('{name}', {value}, true)" for name, value in become_user.items())

    def run(self, cursor: Any, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """Run it and return its rows."""
        cursor.execute(f"SELECT {self._prefix}; {statement.text}", values)
        return statement.make_rows(cursor)


class Transaction:
    """The same in three round trips or more, as Citus needs it: what SET LOCAL set, its shards see."""

    def __init__(self, become_user: Mapping[str, str]) -> None:
        settings = "; ".join(f"SET LOCAL {name} = {value}" for name, value in become_user.items())
        self._begin = f"BEGIN; {settings}"

    def run(self, cursor: Any, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """Run it and return its rows."""
        try:
            cursor.execute(self._begin, values)
            for part in statement.parts:
                cursor.execute(part, values)
            rows = statement.make_rows(cursor)
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(psycopg2.Error):  # The connection may be what was lost.
                cursor.execute("ROLLBACK")
            raise
        return rows


SHAPES: dict[str, type[Message] | type[Transaction]] = {"implicit": Message, "explicit": Transaction}


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

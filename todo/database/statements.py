"""Statements, compiled once, and the two forms in which they are sent after the user's settings.

In both forms, the settings end with the transaction of the statement.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NewType, TypeVar

import psycopg2
from psycopg2.extensions import new_type, register_type
from sqlalchemy import ClauseElement, make_url

ROLE = "todo_app"
# Characters that PostgreSQL, or its driver, cannot store as text.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
DIALECT = make_url("postgresql+psycopg2://").get_dialect()()

# A timestamp in a row: text in UTC, as RFC 3339 writes it.
Time = NewType("Time", str)

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class RowType(Generic[T]):
    """The type of a statement's rows: the names of the columns, and a function that creates a row from their values."""

    names: tuple[str, ...]
    create: Callable[[Sequence[Any]], T]


def row_of(model: type[T], names: Sequence[str]) -> RowType[T]:
    """Return the type of rows with some columns of a model: named tuples that are typed as the model.

    Creating instances of the model would cost ten times as much.
    """
    make_type: Any = namedtuple  # noqa: PYI024 - NamedTuple wants literal names
    return RowType(tuple(names), make_type("Row", names)._make)


def row_like(kind: type[T]) -> RowType[T]:
    """Return the type of rows with the fields of a NamedTuple class."""
    named_tuple: Any = kind
    return RowType(named_tuple._fields, named_tuple._make)


def join_rows(left: RowType[T], right: RowType[U]) -> RowType[tuple[T, U]]:
    """Return the type of pairs: the columns of two rows side by side."""
    size, create_left, create_right = len(left.names), left.create, right.create
    return RowType(
        (*left.names, *right.names), lambda values: (create_left(values[:size]), create_right(values[size:]))
    )


def write_time(text: Any, cursor: Any) -> str | None:
    """Return PostgreSQL's text for a timestamp in UTC as RFC 3339 writes it; raises ValueError if it cannot.

    Parsing the text to a datetime, and formatting that again, would be an eighth of the cost of a list.
    """
    if text is None:
        return None
    if text[10] != " " or text[-3:] != "+00":
        raise ValueError(f"{text} is no time from the years 1 to 9999 in UTC")
    return f"{text[:10]}T{text[11:-3]}Z"


TIMESTAMPTZ = 1184  # PostgreSQL's number of the type
TIME = new_type((TIMESTAMPTZ,), "TIME", write_time)


class Statement(Generic[T]):
    """A statement that is sent for a user. It is compiled once: compiling costs many times as much as sending.

    Several parts run one after the other in one transaction, and the rows are those of the last part. Without a row
    type, rows are tuples.
    """

    def __init__(self, *parts: ClauseElement, row: RowType[T] | None = None) -> None:
        compiled = [part.compile(dialect=DIALECT) for part in parts]
        self.parts = [str(part) for part in compiled]
        self.text = "; ".join(self.parts)
        # Values of the statement itself. Request parameters have no value yet, so they are skipped.
        self.constants = {name: value for part in compiled for name, value in part.params.items() if value is not None}
        self._row = row
        self._is_checked = False

    def read_rows(self, cursor: Any) -> list[T]:
        """Return the rows; raises TypeError if the columns are not those of the row type."""
        rows: list[Any] = cursor.fetchall()
        if self._row is None:
            return rows
        if not self._is_checked:
            if (names := tuple(column.name for column in cursor.description)) != self._row.names:
                raise TypeError(f"The statement returns {names}, not {self._row.names}")
            self._is_checked = True
        return list(map(self._row.create, rows))


# The settings of each statement. The answers are in UTC whatever the server's or the role's default is.
SETTINGS = {
    "role": f"'{ROLE}'",
    "todo.user_id": "%(todo_user_id)s",
    "statement_timeout": "%(todo_statement_timeout)s",
    "lock_timeout": "%(todo_lock_timeout)s",
    "jit": "'off'",  # Statements are small: compiling one costs more than it saves.
    "timezone": "'UTC'",
    "datestyle": "'ISO'",
}


class Message:
    """Sends settings and statement in one message, so in one round trip. PostgreSQL runs it as one transaction."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._prefix = ", ".join(f"set_config('{name}', {value}, true)" for name, value in settings.items())

    def run(self, cursor: Any, statement: Statement[T], values: Mapping[str, Any]) -> list[T]:
        """Run the statement and return its rows."""
        register_type(TIME, cursor)
        cursor.execute(f"SELECT {self._prefix}; {statement.text}", values)
        return statement.read_rows(cursor)


class Transaction:
    """Sends the same in three or more round trips. Citus needs it: its shards see only what SET LOCAL sets."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        lines = "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())
        self._begin = f"BEGIN; {lines}"

    def run(self, cursor: Any, statement: Statement[T], values: Mapping[str, Any]) -> list[T]:
        """Run the statement and return its rows."""
        register_type(TIME, cursor)
        try:
            cursor.execute(self._begin, values)
            for part in statement.parts:
                cursor.execute(part, values)
            rows = statement.read_rows(cursor)
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(psycopg2.Error):  # The connection may be lost.
                cursor.execute("ROLLBACK")
            raise
        return rows


FORMS: dict[str, type[Message] | type[Transaction]] = {"implicit": Message, "explicit": Transaction}

"""What is sent for a user: statements compiled once, and the two shapes in which they go out behind the user's name.

In both, what is set for a statement is set back with the end of its transaction.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2.extensions import new_type, register_type
from sqlalchemy import ClauseElement, make_url

ROLE = "todo_app"
DIALECT = make_url("postgresql+psycopg2://").get_dialect()()

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


class Statement:
    """What is sent for a user. Compiled once: compiling takes many times as long as sending.

    Several ones run one after the other in one transaction; the rows are the last one's.
    """

    def __init__(self, *parts: ClauseElement) -> None:
        compiled = [part.compile(dialect=DIALECT) for part in parts]
        self.parts = [str(part) for part in compiled]
        self.text = "; ".join(self.parts)
        # What the statement's own literals became; the values of requests are None here.
        self.constants = {name: value for part in compiled for name, value in part.params.items() if value is not None}
        self._make_row: Callable[[Iterable[Any]], Row] | None = None

    def make_rows(self, cursor: Any) -> list[Row]:
        """Return what the statement found, its columns by name. Their names are read once: they stay the same."""
        if self._make_row is None:
            names = [column.name for column in cursor.description]
            self._make_row = namedtuple("Row", names, rename=True)._make  # type: ignore[attr-defined] # noqa: PYI024
        return list(map(self._make_row, cursor.fetchall()))


# What is set for each statement, by name, the user and the time it may take left open. How times are written too:
# answers are in UTC whatever the server's or the role's default is.
SETTINGS = {
    "role": f"'{ROLE}'",
    "todo.user_id": "%(todo_user_id)s",
    "statement_timeout": "%(todo_statement_timeout)s",
    "lock_timeout": "%(todo_lock_timeout)s",
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
        register_type(TIME, cursor)
        cursor.execute(f"SELECT {self._prefix}; {statement.text}", values)
        return statement.make_rows(cursor)


class Transaction:
    """The same in three round trips or more, as Citus needs it: what SET LOCAL set, its shards see."""

    def __init__(self, become_user: Mapping[str, str]) -> None:
        settings = "; ".join(f"SET LOCAL {name} = {value}" for name, value in become_user.items())
        self._begin = f"BEGIN; {settings}"

    def run(self, cursor: Any, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """Run it and return its rows."""
        register_type(TIME, cursor)
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

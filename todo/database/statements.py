"""Statements, compiled once, and the types of their rows."""

import re
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Generic, NewType, TypeVar

from psycopg2.extensions import new_type, register_adapter
from psycopg2.extras import Json
from sqlalchemy import ClauseElement, make_url
from sqlalchemy.types import NullType

# Characters that PostgreSQL, or its driver, cannot store as text.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
DIALECT: Any = make_url("postgresql+psycopg2://").get_dialect()
# Parameters by name, as psycopg2 takes them, and by number, as PREPARE takes them.
NAMED, NUMBERED = DIALECT(), DIALECT(paramstyle="numeric_dollar")

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
    """Return PostgreSQL's text for a timestamp in UTC as RFC 3339 writes it, with six fractional digits.

    So timestamps sort as text. Raises ValueError for a time that RFC 3339 cannot write.

    Parsing the text to a datetime, and formatting that again, would be an eighth of the cost of a list.
    """
    if text is None:
        return None
    if text[10:11] != " " or text[-3:] != "+00":
        raise ValueError(f"{text} is no time from the years 1 to 9999 in UTC")
    clock = text[11:-3]
    if len(clock) < 15:  # PostgreSQL drops zeros at the end of the fraction, and an empty fraction with its point.
        clock = f"{clock if '.' in clock else clock + '.':0<15}"
    return f"{text[:10]}T{clock}Z"


# Values of columns with JSON.
register_adapter(dict, Json)

# PostgreSQL's numbers of the types. SQLAlchemy would make objects of UUIDs, which responses have as text.
TIMESTAMPTZ, UUID = 1184, 2950
TIME, UID = new_type((TIMESTAMPTZ,), "TIME", write_time), new_type((UUID,), "UID", lambda text, _: text)


class Statement(Generic[T]):
    """A statement that is sent for a user. It is compiled once: compiling costs many times as much as sending.

    Several parts run one after the other in one transaction, and the rows are those of the last part. Without a row
    type, rows are tuples.
    """

    def __init__(self, *parts: ClauseElement, row: RowType[T] | None = None) -> None:
        self._parts, self._row, self._is_checked = parts, row, False
        compiled = [part.compile(dialect=NAMED) for part in parts]
        self.text = "; ".join(map(str, compiled))
        # Values of the statement itself. Request parameters have no value yet, so they are skipped.
        self.constants = {name: value for part in compiled for name, value in part.params.items() if value is not None}

    @cached_property
    def name(self) -> str:
        """The name when it is prepared. Another statement, also of another release, has another name."""
        return f"todo_{sha256(str(self._prepared).encode()).hexdigest()[:16]}"

    @cached_property
    def preparation(self) -> str:
        """The SQL that prepares the statement.

        PostgreSQL keeps the text around a PREPARE. Inside DO, that is the PREPARE alone, without values of a user.
        """
        prepares = (f"PREPARE {self.name}_{number}{part}" for number, (part, _) in enumerate(self._prepared))
        return f"DO $do$ BEGIN {''.join(f'EXECUTE $sql${each}$sql$; ' for each in prepares)}END $do$"

    @cached_property
    def execution(self) -> str:
        """The SQL that executes the prepared statement."""
        return "; ".join(f"EXECUTE {self.name}_{number}{given}" for number, (_, given) in enumerate(self._prepared))

    @cached_property
    def _prepared(self) -> list[tuple[str, str]]:
        return [write_prepared(part) for part in self._parts]

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


def write_prepared(part: ClauseElement) -> tuple[str, str]:
    """Return what follows the name in PREPARE, and in EXECUTE.

    The types are declared where they are known: PostgreSQL takes a number for a text if nothing else tells its type.
    """
    compiled: Any = part.compile(dialect=NUMBERED)
    types = [compiled.binds[parameter].type for parameter in compiled.positiontup]
    types = [
        "unknown" if isinstance(each, NullType) else each.compile(NUMBERED).partition(" COLLATE")[0] for each in types
    ]
    arguments = [f"%({parameter})s" for parameter in compiled.positiontup]
    declared, given = (f" ({', '.join(texts)})" if texts else "" for texts in (types, arguments))
    # psycopg2 reads a single percent sign as the start of a parameter.
    return f"{declared} AS {compiled}".replace("%", "%%"), given

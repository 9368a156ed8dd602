"""Orders of rows, and the places in them where pages begin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement

from todo.database.resource import MAX_ID
from todo.database.statements import UNSTORABLE
from todo.errors import InvalidCursor

# What precedes the page: nothing, a row with a value to sort by, or a row without one.
Start = Literal["first", "valued", "valueless"]


@dataclass(frozen=True, kw_only=True)
class Sort:
    """An order of rows. The ID breaks ties, in the same direction. Rows without a value come last in both directions.

    ``key`` returns the sort key for a direction, without the ID, and ``readers`` read its parts from a cursor.
    ``valueless`` is the condition of rows without a value, if an index keeps those apart.
    """

    key: Callable[[str], Sequence[ColumnElement[Any]]]
    readers: Sequence[Callable[[Any], Any]]
    order: str = "asc"
    valueless: ColumnElement[bool] | None = None

    @property
    def names(self) -> list[str]:
        """The columns of the key in a page."""
        return [f"key_{number}" for number in range(len(self.readers))]

    def read_place(self, parts: Sequence[Any]) -> tuple[Start, dict[str, Any]]:
        """Return where the page of a cursor begins, and the parameters of that place.

        Raises InvalidCursor: anyone can write a cursor.
        """
        *values, row_id = parts or [None]
        start: Start = "valued"
        try:
            if self.valueless is not None and values and values[0] is None:
                start, values = "valueless", [None] * len(self.readers)
            else:
                values = [read(value) for read, value in zip(self.readers, values, strict=True)]
            row_id = read_id(row_id)
        except (ValueError, OverflowError):
            raise InvalidCursor from None
        place = {f"after_{name}": value for name, value in zip(self.names, values, strict=True)}
        return start, place | {"after_id": row_id}


def read_id(value: Any) -> int:
    """Return an ID that a cursor holds; raises ValueError."""
    if type(value) is int and 0 <= value <= MAX_ID:
        return value
    raise ValueError


def read_instant(value: Any) -> datetime:
    """Return a timestamp that a cursor holds; raises ValueError."""
    instant = datetime.fromisoformat(read_text(value))
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)  # Python accepts more offsets than PostgreSQL.


def read_text(value: Any) -> str:
    """Return a text that a cursor holds; raises ValueError."""
    if isinstance(value, str) and not UNSTORABLE.search(value):
        return value
    raise ValueError


def read_flag(value: Any) -> bool:
    """Return a boolean that a cursor holds; raises ValueError."""
    if isinstance(value, bool):
        return value
    raise ValueError

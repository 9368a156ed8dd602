"""The orders that tasks come in, and a place in each, as a cursor holds it: what a page goes on from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, case

from todo.database.folding import build_folded
from todo.tasks.columns import tasks
from todo.tasks.fields import PRIORITIES
from todo.web.cursors import InvalidCursor
from todo.web.fields import UNSTORABLE

RANKS = {priority: rank for rank, priority in enumerate(PRIORITIES, 1)}
MAX_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Sort:
    """An order of tasks. Ties are broken by id, in the same direction; tasks without a value come last in both."""

    # What tasks are sorted by in that direction, before the id.
    key: Callable[[str], Sequence[ColumnElement[Any]]]
    # How each part of it is read back from a cursor.
    readers: Sequence[Callable[[Any], Any]]
    order: str = "asc"
    # What a task without a value is, where an index has those apart.
    valueless: ColumnElement[bool] | None = None

    def read_place(self, parts: Sequence[Any]) -> list[Any]:
        """Return the place that a cursor holds: the parts of a key, or None for each, and an id.

        Raises InvalidCursor, since anyone can write one.
        """
        *values, task_id = parts or [None]
        try:
            if self.valueless is not None and values and values[0] is None:
                values = [None] * len(self.readers)
            else:
                values = [read(value) for read, value in zip(self.readers, values, strict=True)]
            return [*values, read_number(task_id)]
        except (ValueError, OverflowError):
            raise InvalidCursor from None


def read_instant(value: Any) -> datetime:
    """Return a time that a cursor holds; raises ValueError."""
    instant = datetime.fromisoformat(read_text(value))
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)  # PostgreSQL takes fewer offsets than Python.


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


def read_number(value: Any) -> int:
    """Return a rank or an id that a cursor holds; raises ValueError."""
    if type(value) is int and 0 <= value <= MAX_ID:
        return value
    raise ValueError


SORTS = {
    # The id's order, which the primary key serves.
    "created": Sort(key=lambda order: (), readers=(), order="desc"),
    "updated": Sort(key=lambda order: (tasks.c.updated_at,), readers=(read_instant,), order="desc"),
    "title": Sort(key=lambda order: (build_folded(tasks.c.title, tasks.c.title_folded),), readers=(read_text,)),
    "due_date": Sort(
        key=lambda order: (tasks.c.due_at, tasks.c.due_all_day),
        readers=(read_instant, read_flag),
        # With every column of the index, so that it serves them by id.
        valueless=tasks.c.due_at.is_(None) & ~tasks.c.due_all_day,
    ),
    # No index serves it: one look at all of the user's tasks, and a rank that puts those without a priority last.
    "priority": Sort(
        key=lambda order: (case(RANKS, value=tasks.c.priority, else_=len(RANKS) + 1 if order == "asc" else 0),),
        readers=(read_number,),
        order="desc",
    ),
}

"""The orders that tasks come in, and the place of a task in each: what a page goes on from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, case

from todo.cursors import InvalidCursor
from todo.fields import UNSTORABLE
from todo.tasks.fields import PRIORITIES
from todo.tasks.folding import build_folded, fold

RANKS = {priority: rank for rank, priority in enumerate(PRIORITIES, 1)}
MAX_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Sort:
    """An order of tasks. Ties are broken by id, in the same direction; tasks without a value come last in both."""

    # What a table's or a subquery's columns are sorted by, before the id.
    key: Callable[[Any], Sequence[ColumnElement[Any]]]
    # The same of a task that was found, and how each part is read back from a cursor.
    values: Callable[[Row[Any]], Sequence[Any]]
    readers: Sequence[Callable[[Any], Any]]
    order: str = "asc"
    # What a task without a value is, if there can be one.
    valueless: Callable[[Any], ColumnElement[bool]] | None = None

    def place_of(self, task: Row[Any]) -> list[Any]:
        """Return a task's place: the values it is sorted by, or None for each, and its id."""
        return [*self.values(task), task.id]

    def read_place(self, parts: Sequence[Any]) -> list[Any]:
        """Return the place that a cursor holds; raises InvalidCursor, since anyone can write one."""
        *values, task_id = parts or [None]
        try:
            if not (self.valueless and values == [None] * len(self.readers)):
                values = [read(value) for read, value in zip(self.readers, values, strict=True)]
            return [*values, read_number(task_id)]
        except ValueError:
            raise InvalidCursor from None


def read_instant(value: Any) -> datetime:
    """Return a time that a cursor holds; raises ValueError."""
    instant = datetime.fromisoformat(read_text(value))
    if instant.tzinfo is None:
        raise ValueError
    return instant


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
    if type(value) is int and 1 <= value <= MAX_ID:
        return value
    raise ValueError


SORTS = {
    # The id's order, which the primary key serves.
    "created": Sort(key=lambda columns: (), values=lambda task: (), readers=(), order="desc"),
    "updated": Sort(
        key=lambda columns: (columns.updated_at,),
        values=lambda task: (task.updated_at,),
        readers=(read_instant,),
        order="desc",
    ),
    "title": Sort(
        key=lambda columns: (build_folded(columns.title, columns.title_folded),),
        values=lambda task: (fold(task.title),),
        readers=(read_text,),
    ),
    "due_date": Sort(
        key=lambda columns: (columns.due_at, columns.due_all_day),
        values=lambda task: (task.due_at, task.due_all_day) if task.due_at else (None, None),
        readers=(read_instant, read_flag),
        # With every column of the index, so that it serves them by id.
        valueless=lambda columns: columns.due_at.is_(None) & ~columns.due_all_day,
    ),
    "priority": Sort(
        key=lambda columns: (case(RANKS, value=columns.priority),),
        values=lambda task: (RANKS.get(task.priority),),
        readers=(read_number,),
        order="desc",
        valueless=lambda columns: columns.priority.is_(None),
    ),
}

"""The filters and orders of the list of tasks, and the text that a search looks in."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, DateTime, Text, bindparam, case, select
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY

from todo.database.folding import build_folded
from todo.database.paging import Listing
from todo.database.sorting import Sort, read_flag, read_instant, read_text
from todo.tasks.due import Limits
from todo.tasks.fields import PRIORITIES
from todo.tasks.resource import TASKS

columns = TASKS.table.c
RANKS = {priority: rank for rank, priority in enumerate(PRIORITIES, 1)}


def choose_limit(of_days: ColumnElement[datetime], of_instants: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """Build the limit of a row: due dates that are whole days have another one than instants (due.py)."""
    return case((columns.due_all_day, of_days), else_=of_instants)


# Both limits as parameters. An index finds the rows within the wider one.
BEFORE, AFTER = (
    [bindparam(f"{name}_{kind}", type_=DateTime(timezone=True)) for kind in Limits._fields]
    for name in ("due_before", "due_after")
)

FILTERS: dict[str, ColumnElement[bool]] = {
    "status": columns.completed == bindparam("status", type_=Boolean),
    "completed": columns.completed == bindparam("completed", type_=Boolean),
    "priority": columns.priority == bindparam("priority", type_=Text),
    "tag": columns.tags_folded.contains(bindparam("tag", type_=ARRAY(Text))),
    "due_before": (columns.due_at <= sql.greatest(*BEFORE)) & (columns.due_at <= choose_limit(*BEFORE)),
    "due_after": (columns.due_at >= sql.least(*AFTER)) & (columns.due_at >= choose_limit(*AFTER)),
    "remind_before": columns.remind_at <= bindparam("remind_before_instants", type_=DateTime(timezone=True)),
    "remind_after": columns.remind_at >= bindparam("remind_after_instants", type_=DateTime(timezone=True)),
}

# Computed once for each task. A word has no white space, so no word is found across the line break.
SEARCHED = (
    select(
        (
            build_folded(columns.title, columns.title_folded)
            + sql.coalesce("\n" + build_folded(columns.description, columns.description_folded), "")
        ).label("text")
    )
    .correlate(TASKS.table)
    .offset(0)
    .lateral("searched")
)


def read_rank(value: Any) -> int:
    """Return a rank that a cursor holds; raises ValueError."""
    if type(value) is int and 0 <= value <= len(RANKS) + 1:
        return value
    raise ValueError


def rank_priority(order: str) -> list[ColumnElement[Any]]:
    """Rank tasks without a priority last. No index supports this order, so it reads all tasks of the user."""
    return [case(RANKS, value=columns.priority, else_=len(RANKS) + 1 if order == "asc" else 0)]


SORTS = {
    "created": Sort(key=lambda order: (columns.created_at,), readers=(read_instant,), order="desc"),
    "updated": Sort(key=lambda order: (columns.updated_at,), readers=(read_instant,), order="desc"),
    "title": Sort(key=lambda order: (build_folded(columns.title, columns.title_folded),), readers=(read_text,)),
    "due_date": Sort(
        key=lambda order: (columns.due_at, columns.due_all_day),
        readers=(read_instant, read_flag),
        # Both columns are named, so that PostgreSQL can use the index and read these rows by ID.
        valueless=columns.due_at.is_(None) & ~columns.due_all_day,
    ),
    "priority": Sort(key=rank_priority, readers=(read_rank,), order="desc"),
}

TASK_LISTING = Listing(TASKS, SORTS, FILTERS, SEARCHED)

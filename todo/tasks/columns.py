"""The SQL of the columns of a task: of a new one, and of one that changes."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, bindparam, case
from sqlalchemy import func as sql

from todo.database.changing import Assign
from todo.database.statements import NAMED
from todo.tasks.recurrence.successors import write_anchor
from todo.tasks.resource import TASKS

# How many statements are kept for sets of columns: a client can choose any set, and each statement takes memory.
STATEMENTS = 64
COMPLETED = bindparam("new_completed", type_=Boolean)


def write_new(name: str) -> str:
    """Return the SQL of the parameter of a column, with its type."""
    return f"CAST(:new_{name} AS {TASKS.table.c[name].type.compile(NAMED)})"


# The column ``completed`` follows from ``completed_at``.
NEW = {name: f":new_{name}" for name in TASKS.stored} | {
    "completed_at": "CASE WHEN :new_completed THEN now() END",
    "anchor": write_anchor(*map(write_new, ("recurrence", "due_at", "due_all_day"))),
}


def assign(names: frozenset[str]) -> Assign:
    """Return a function that returns the new values of columns; ``completed`` stands for ``completed_at``."""

    def values_at(now: ColumnElement[Any]) -> Mapping[str, ColumnElement[Any]]:
        values: dict[str, ColumnElement[Any]] = {
            name: bindparam(f"new_{name}", type_=TASKS.table.c[name].type) for name in names
        }
        if values.pop("completed", None) is not None:
            values["completed_at"] = case((COMPLETED, sql.coalesce(TASKS.table.c.completed_at, now)))
        return values

    return values_at


def toggle(now: ColumnElement[Any]) -> Mapping[str, ColumnElement[Any]]:
    """Return the new values of columns of a task that is completed, or else reopened."""
    return {"completed_at": case((~TASKS.table.c.completed, now))}

"""Changes that may complete or reopen a task."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from todo.database.changing import build_exact_change, change_row
from todo.database.creating import bind_new
from todo.database.rows import RowName, RowStatement
from todo.database.statements import row_like
from todo.database.versions import Versions
from todo.errors import Full
from todo.tasks.columns import STATEMENTS, assign, toggle
from todo.tasks.limits import find_expiry, find_room
from todo.tasks.models import Task
from todo.tasks.recurrence.completion import Completion, follow
from todo.tasks.resource import TASKS


@lru_cache(STATEMENTS)
def build_completion(
    names: frozenset[str], completed: bool | None, *, limited: bool, expires: bool
) -> RowStatement[tuple[Task, Completion]]:
    """Build the statement that sets columns of a task, ``completed`` among them, or toggles it; see follow."""
    changed = assign(names) if names else toggle
    effects = follow(names, completed, limited=limited, expires=expires)
    return build_exact_change(TASKS, changed, effects, row_like(Completion))


def complete_task(user_id: str, name: RowName, columns: Mapping[str, Any], expected: Versions) -> Task:
    """Set columns of a task, ``completed`` among them; without columns, toggle it."""
    room, (expires, expiry) = find_room(1), plan_completion(columns)
    completed = columns.get("completed")
    statement = build_completion(frozenset(columns), completed, limited=bool(room), expires=expires)
    task, outcome = change_row(user_id, name, statement, expected, bind_new(user_id, columns) | room | expiry)
    if outcome.is_full:
        raise Full
    return task


def plan_completion(columns: Mapping[str, Any]) -> tuple[bool, dict[str, int]]:
    """Return what find_expiry does for a change that may reopen a task, and so remove its successor."""
    may_reopen = not columns or columns.get("completed") is False
    return find_expiry(0) if may_reopen else (False, {})

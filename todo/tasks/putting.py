"""What PUT with a UID asks the database: it creates a task, or changes it if it exists."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import false

from todo.database.changing import Effects, change_row
from todo.database.creating import bind_new
from todo.database.putting import PutOutcome, build_put
from todo.database.rows import RowStatement
from todo.database.versions import ANY_VERSION, Versions
from todo.errors import Changed, FieldError, Full, NotFound, Trashed
from todo.tasks.columns import NEW, STATEMENTS, assign
from todo.tasks.limits import find_days, find_room
from todo.tasks.models import Task
from todo.tasks.recurrence.completing import plan_completion
from todo.tasks.recurrence.completion import find_anchor, follow, refusing_unscheduled
from todo.tasks.resource import TASKS, TRASH

NO_VERSION = "The task does not exist, so it has no version that If-Match allows."
TITLE_MISSING = str(TASKS.requests["title"].error_messages["required"])


@lru_cache(STATEMENTS)
def build_task_put(
    names: frozenset[str], completed: bool | None, *, creates: bool, limited: bool, expires: bool
) -> RowStatement[tuple[Task, PutOutcome]]:
    """Build the statement that sets these columns of a task, and creates the task if ``creates``."""
    if completed is not None:
        find_effects = follow(names, completed, limited=limited, expires=expires)
    else:
        effects = Effects(find_anchor(names), refusal=false().label("is_full"))
        find_effects = lambda _: effects  # noqa: E731
    return build_put(TASKS, TRASH, assign(names), find_effects, NEW if creates else None, limited=limited)


def put_task(user_id: str, uid: str, changes: Mapping[str, Any], expected: Versions = ANY_VERSION) -> tuple[Task, bool]:
    """Change fields of the task with a UID, or create it; return the task, and whether it is new.

    Raises Trashed, Full, Changed or Excluded, and FieldError if a new task has no title.
    """
    columns = TASKS.to_columns(changes)
    creates = "title" in changes and not expected.exists
    room, (expires, expiry) = find_room(1), plan_completion(columns)
    completed = columns.get("completed")
    statement = build_task_put(frozenset(columns), completed, creates=creates, limited=bool(room), expires=expires)
    values = bind_new(user_id, TASKS.to_new_columns(changes) if creates else columns) | find_days() | room | expiry
    try:
        with refusing_unscheduled():
            task, outcome = change_row(user_id, uid, statement, expected, values)
    except NotFound:
        if expected.exists:
            raise Changed(NO_VERSION) from None
        raise Full if creates else FieldError("title", TITLE_MISSING) from None
    if outcome.is_full:
        raise Full
    if outcome.is_trashed:
        raise Trashed
    return task, outcome.is_new

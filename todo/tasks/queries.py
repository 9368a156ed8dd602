"""What routes and commands ask the database about tasks. Each function takes the user first and sends one statement.

Statements filter by owner, and row security does too: either one is enough.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, TypeVar

import orjson
from psycopg2.errors import QueryCanceled
from sqlalchemy.exc import OperationalError

from todo.database.changing import Outcome, build_change, change_row
from todo.database.creating import bind_new, build_create, build_create_once
from todo.database.isolation import fetch
from todo.database.paging import Page, Query, find_page
from todo.database.rows import RowName, RowStatement, build_get
from todo.database.trashing import build_delete
from todo.database.versions import ANY_VERSION, Versions
from todo.errors import Full, KeyReused, KeyUnusable, TooSlow
from todo.tasks.columns import NEW, STATEMENTS, assign
from todo.tasks.limits import find_expiry, find_room
from todo.tasks.listing import FILTERS, TASK_LISTING
from todo.tasks.models import Task
from todo.tasks.recurrence.completing import complete_task
from todo.tasks.recurrence.completion import find_anchor, refusing_unscheduled
from todo.tasks.resource import TASKS, TRASH

SEARCH_SECONDS = 1

S = TypeVar("S")


def build_limited(build: Callable[..., S]) -> Mapping[bool, S]:
    """Return the statements with MAX_TASKS (true), and without."""
    return {limited: build(limited=limited) for limited in (False, True)}


GET = build_get(TASKS)
CREATE = build_limited(partial(build_create, TASKS, NEW))
CREATE_ONCE = build_limited(partial(build_create_once, TASKS, NEW))
DELETE = build_limited(partial(build_delete, TASKS, TRASH))
DELETE_ONLY = build_delete(TASKS, TRASH, expires=False)


@lru_cache(STATEMENTS)
def build_task_change(names: frozenset[str]) -> RowStatement[tuple[Task, Outcome]]:
    """Build the statement that sets these columns of a task."""
    return build_change(TASKS, assign(names), find_anchor(names))


def find_tasks(user_id: str, query: Mapping[str, Any], *, is_counted: bool = False) -> Page[Task]:
    """Return a page of the user's tasks; ``query`` is loaded by TaskQuerySchema.

    Raises InvalidCursor, and TooSlow if a search takes too long.
    """
    words = query.get("search", [])
    asked = Query(
        sort=query["sort"],
        order=query.get("order"),
        limit=query["limit"],
        cursor=query.get("cursor"),
        filters={
            name: value if isinstance(value, dict) else {name: value}
            for name in FILTERS
            if (value := query.get(name)) not in (None, [])
        },
        words=words,
    )
    try:
        return find_page(TASK_LISTING, user_id, asked, is_counted=is_counted, seconds=SEARCH_SECONDS if words else None)
    except OperationalError as error:
        # The user's own tasks bound a search, but these and the words can be chosen to be slow.
        if words and isinstance(error.orig, QueryCanceled):
            raise TooSlow from None
        raise


def create_task(user_id: str, new: Mapping[str, Any]) -> Task:
    """Store a task and return it; raises Full."""
    room = find_room(1)
    values = bind_new(user_id, TASKS.to_new_columns(new)) | room
    with refusing_unscheduled():
        for task in fetch(user_id, CREATE[bool(room)], values):
            return task
    raise Full


def create_task_once(user_id: str, new: Mapping[str, Any], key: str) -> tuple[Task, bool]:
    """Store a task unless a request with this key did; return the task of the key, and whether it existed.

    Raises Full, KeyReused if the key was used for another task, and KeyUnusable if its task was deleted.
    """
    columns = TASKS.to_new_columns(new)
    # Without defaults, so that a later release with another field computes the same fingerprint.
    fingerprint = sha256(orjson.dumps(TASKS.drop_defaults(columns), option=orjson.OPT_SORT_KEYS)).digest()
    room = find_room(1)
    values = bind_new(user_id, columns) | {"key": key, "fingerprint": fingerprint} | room
    with refusing_unscheduled():
        found = fetch(user_id, CREATE_ONCE[bool(room)], values, repeatable=True)
    if not found:
        raise Full
    [(task, claim)] = found
    if bytes(claim.fingerprint) != fingerprint:
        raise KeyReused
    if task.id is None:
        raise KeyUnusable
    return task, not claim.is_new


def get_task(user_id: str, name: RowName) -> Task:
    """Return the user's task; raises NotFound."""
    return GET.fetch(user_id, name, repeatable=True)


def change_task(user_id: str, name: RowName, changes: Mapping[str, Any], expected: Versions = ANY_VERSION) -> Task:
    """Change fields of a task with an expected version, and return it.

    If nothing would change, nothing is written: ``updated_at`` and the version stay. Raises NotFound, Changed,
    Excluded, FieldError, and Full if the user has no room for the successor of a recurring task.
    """
    columns = TASKS.to_columns(changes)
    with refusing_unscheduled():
        if "completed" in columns:
            return complete_task(user_id, name, columns, expected)
        statement = build_task_change(frozenset(columns))
        return change_row(user_id, name, statement, expected, bind_new(user_id, columns))[0]


def toggle_task(user_id: str, name: RowName, expected: Versions = ANY_VERSION) -> Task:
    """Complete an open task, or reopen a completed one, and return it; see change_task for the errors."""
    with refusing_unscheduled():
        return complete_task(user_id, name, {}, expected)


def delete_task(user_id: str, name: RowName, expected: Versions = ANY_VERSION) -> Task:
    """Move the user's task to the trash, and return it. Raises NotFound, Changed or Excluded."""
    expires, values = find_expiry(1)
    statement = DELETE["kept" in values] if expires else DELETE_ONLY
    return change_row(user_id, name, statement, expected, values)[0]

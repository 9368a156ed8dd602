"""What routes ask the database about tasks. Whatever asks takes the owner first, and sends one statement.

The statements name the owner although row security would hold without it: two walls are better than one.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from marshmallow import ValidationError
from psycopg2.errors import QueryCanceled
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import Conflict, NotFound, PreconditionFailed

from todo.database.isolation import fetch
from todo.database.statements import Row, Statement
from todo.rate_limit import take_turn
from todo.tasks.columns import SHOWN, to_columns
from todo.tasks.finding import FILTERS, Start, build_page, write_pattern
from todo.tasks.sorting import SORTS, Sort
from todo.tasks.writing import COMPARE, CREATE, CREATE_ONCE, DEFAULTS, DELETE, GET, TOGGLE, build_change_statement
from todo.web.cursors import read_cursor, write_cursor

SEARCH_SECONDS = 1


class Changed(PreconditionFailed):
    """412: the task is another version than the caller knows (RFC 9110 section 13.1.1). Nothing was written."""

    description = "The task has changed since you got it; get it again, and repeat the change on what it is now."


class Page(NamedTuple):
    """Some of the tasks that were asked for, the cursor of the next page, if any, and how many are on all, if asked."""

    tasks: Sequence[Row]
    cursor: str | None
    total: int | None


def find_tasks(user_id: str, query: Mapping[str, Any], *, counted: bool = False) -> Page:
    """Return a page of the user's tasks, as TaskQuerySchema loads the query, and if asked, how many there are in all.

    Raises InvalidCursor, and what search raises.
    """
    sort = SORTS[query["sort"]]
    order = query.get("order", sort.order)
    filters = {name: query[name] for name in FILTERS if query.get(name) not in (None, [])}
    words = query.get("search", [])
    scope = [query["sort"], order, filters, words]
    start, place = bind_place(sort, query.get("cursor"), scope)
    values = {**filters, **place, "owner": user_id, "size": query["limit"] + 1}
    statement = build_page(frozenset(filters), query["sort"], order, start, searched=bool(words), counted=counted)
    if words:
        found = search(user_id, statement, {**values, "patterns": [write_pattern(word) for word in words]})
    else:
        found = fetch(user_id, statement, values, repeatable=True)
    total = None
    if counted:
        total, found = found[0].total, [task for task in found if task.id is not None]
    listed = found[: query["limit"]]
    if len(found) == len(listed):
        return Page(listed, None, total)
    key = listed[-1][len(SHOWN) :][: len(sort.readers)]
    return Page(listed, write_cursor([*key, listed[-1].id], scope), total)


def bind_place(sort: Sort, cursor: str | None, scope: Any) -> tuple[Start, dict[str, Any]]:
    """Return where a page begins, and the values of that place; raises InvalidCursor."""
    if cursor is None:
        return "first", {}
    *parts, task_id = sort.read_place(read_cursor(cursor, scope))
    values = {f"after_{number}": part for number, part in enumerate(parts)}
    return "valueless" if None in parts else "valued", {**values, "after_id": task_id}


def search(user_id: str, statement: Statement, values: Mapping[str, Any]) -> Sequence[Row]:
    """Send a statement that searches, one of few of the user's at a time.

    It is bounded by the user's own tasks, but these, and the words, may be chosen to be slow. Raises TooManyRequests,
    or ValidationError if it takes too long.
    """
    try:
        with take_turn(user_id):
            return fetch(user_id, statement, values, repeatable=True, seconds=SEARCH_SECONDS)
    except OperationalError as error:
        if isinstance(error.orig, QueryCanceled):
            raise ValidationError({"search": ["Takes too long among your tasks; search for fewer words."]}) from None
        raise


def create_task(user_id: str, new: Mapping[str, Any]) -> Row:
    """Store a task and return it."""
    values = name_values(to_columns({**DEFAULTS, **new}))
    return fetch(user_id, CREATE, {**values, "owner": user_id})[0]


def create_task_once(user_id: str, new: Mapping[str, Any], key: str) -> tuple[Row, bool]:
    """Store a task unless one was stored under this key; return the key's task, and whether it was there already.

    Raises ValidationError if the key was used for something else, Conflict if its task was deleted since.
    """
    columns = to_columns({**DEFAULTS, **new})
    fingerprint = sha256(orjson.dumps(columns, option=orjson.OPT_SORT_KEYS)).digest()
    values = {**name_values(columns), "owner": user_id, "key": key, "fingerprint": fingerprint}
    [task] = fetch(user_id, CREATE_ONCE, values, repeatable=True)
    if bytes(task.fingerprint) != fingerprint:
        raise ValidationError({"Idempotency-Key": ["It was used for another body; choose a new key."]})
    if task.id is None:
        raise Conflict("The task that was created with this Idempotency-Key has been deleted; choose a new key.")
    return task, not task.is_new


def get_task(user_id: str, task_id: int) -> Row:
    """Return the user's task; raises NotFound."""
    return fetch_task(user_id, task_id, GET, repeatable=True)


def change_task(user_id: str, task_id: int, changes: Mapping[str, Any], versions: Sequence[int] | None = None) -> Row:
    """Change the members given and return the task as it is then, if its version is one of those given.

    What is so already is not written: a repeated request moves neither ``updated_at`` nor the version. Raises NotFound,
    or Changed.
    """
    columns = to_columns(changes)
    statement = build_change_statement(frozenset(columns)) if columns else COMPARE
    return change(user_id, task_id, statement, versions, name_values(columns))


def toggle_task(user_id: str, task_id: int, versions: Sequence[int] | None = None) -> Row:
    """Complete an open task, reopen a completed one, and return it; raises NotFound, or Changed."""
    return change(user_id, task_id, TOGGLE, versions)


def delete_task(user_id: str, task_id: int, versions: Sequence[int] | None = None) -> None:
    """Delete the user's task; raises NotFound, or Changed."""
    change(user_id, task_id, DELETE, versions)


def change(
    user_id: str,
    task_id: int,
    statement: Statement,
    versions: Sequence[int] | None,
    values: Mapping[str, Any] | None = None,
) -> Row:
    """Run a statement that begins with lock_task; raises NotFound, or Changed if the task is another version."""
    task = fetch_task(user_id, task_id, statement, {**(values or {}), "versions": versions})
    if not task.expected:
        raise Changed
    return task


def name_values(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Name new values as the statements' parameters are named."""
    return {f"new_{name}": value for name, value in columns.items()}


def fetch_task(
    user_id: str,
    task_id: int,
    statement: Statement,
    values: Mapping[str, Any] | None = None,
    *,
    repeatable: bool = False,
) -> Row:
    """Run a statement about one task and return its row; raises NotFound without one, or if it cannot be an id."""
    if task_id < 1:
        raise NotFound
    rows = fetch(user_id, statement, {**(values or {}), "owner": user_id, "task_id": task_id}, repeatable=repeatable)
    if not rows:
        raise NotFound
    return rows[0]

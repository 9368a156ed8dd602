"""The only SQL about tasks. Every function takes the owner first, and none can see every user's tasks.

Each is one statement, built once. Queries name the owner although row security would hold without it:
it is the key's first column, and two walls are better than one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Row,
    Text,
    bindparam,
    case,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import func as sql
from werkzeug.exceptions import NotFound

from todo.isolation import fetch
from todo.tasks.models import Task

MAX_LISTED = 1000

tasks = Task.metadata.tables["todo.tasks"]
# Not named as the columns are: those names are SQLAlchemy's in an INSERT or UPDATE.
OWNER = bindparam("owner", type_=Text)
ID = bindparam("task_id", type_=BigInteger)
COMPLETED = bindparam("new_completed", type_=Boolean)
MINE = tasks.c.user_id == OWNER
THIS = MINE & (tasks.c.id == ID)

LIST = select(tasks).where(MINE).order_by(tasks.c.id.desc()).limit(MAX_LISTED)
GET = select(tasks).where(THIS)
CREATE = (
    insert(tasks)
    .values(
        user_id=OWNER,
        title=bindparam("new_title"),
        description=bindparam("new_description"),
        completed_at=case((COMPLETED, sql.now())),  # now(), as created_at's default is.
    )
    .returning(*tasks.c)
)
DELETE = delete(tasks).where(THIS).returning(tasks.c.id)

Columns = dict[str, ColumnElement[Any]]


def build_change(columns: Callable[[ColumnElement[Any]], Columns]) -> CompoundSelect[Any]:
    """Build the statement that sets columns of one task: lock the row, write what differs, return what is there then.

    ``columns`` takes the time of the change and returns the new values. The lock makes the second of two
    concurrent changes see the first; the clock is read after it, and once.
    """
    old = select(tasks).where(THIS).with_for_update().cte("old")
    clock = select(sql.clock_timestamp().label("now")).select_from(old).cte("clock")
    now = select(clock.c.now).scalar_subquery()
    values = columns(now)
    new = (
        update(tasks)
        .where(tasks.c.user_id == old.c.user_id, tasks.c.id == old.c.id)
        .where(or_(*(tasks.c[name].is_distinct_from(value) for name, value in values.items())))
        .values(**values, version=tasks.c.version + 1, updated_at=now)
        .returning(*tasks.c)
        .cte("new")
    )
    return select(new).union_all(select(old).where(~exists(select(new))))


TOGGLE = build_change(lambda now: {"completed_at": case((~tasks.c.completed, now))})


@cache
def build_change_of(members: frozenset[str]) -> CompoundSelect[Any]:
    """Build the statement that changes these members of one task."""

    def columns(now: ColumnElement[Any]) -> Columns:
        values: Columns = {name: bindparam(f"new_{name}", type_=tasks.c[name].type) for name in members}
        if values.pop("completed", None) is not None:
            values["completed_at"] = case((COMPLETED, sql.coalesce(tasks.c.completed_at, now)))
        return values

    return build_change(columns)


def list_tasks(user_id: str) -> Sequence[Row[Any]]:
    """Return the user's newest tasks, newest first, at most MAX_LISTED."""
    return fetch(user_id, LIST, {"owner": user_id})


def create_task(user_id: str, new: Mapping[str, Any]) -> Row[Any]:
    """Store a task and return it."""
    values = name_values({"description": None, "completed": False, **new})
    return fetch(user_id, CREATE, {**values, "owner": user_id})[0]


def get_task(user_id: str, task_id: int) -> Row[Any]:
    """Return the user's task; raises NotFound."""
    return take_one(fetch(user_id, GET, {"owner": user_id, "task_id": task_id}))


def change_task(user_id: str, task_id: int, changes: Mapping[str, Any]) -> Row[Any]:
    """Change the members given and return the task as it is then; raises NotFound.

    What is so already is not written: a repeated request moves neither ``updated_at`` nor the version.
    """
    if not changes:
        return get_task(user_id, task_id)
    values = {**name_values(changes), "owner": user_id, "task_id": task_id}
    return take_one(fetch(user_id, build_change_of(frozenset(changes)), values))


def toggle_task(user_id: str, task_id: int) -> Row[Any]:
    """Complete an open task, reopen a completed one, and return it; raises NotFound."""
    return take_one(fetch(user_id, TOGGLE, {"owner": user_id, "task_id": task_id}))


def delete_task(user_id: str, task_id: int) -> None:
    """Delete the user's task; raises NotFound."""
    take_one(fetch(user_id, DELETE, {"owner": user_id, "task_id": task_id}))


def name_values(members: Mapping[str, Any]) -> dict[str, Any]:
    """Name new values as the statements' parameters are named."""
    return {f"new_{name}": value for name, value in members.items()}


def take_one(rows: Sequence[Row[Any]]) -> Row[Any]:
    """Return the only row; raises NotFound without one."""
    if not rows:
        raise NotFound
    return rows[0]

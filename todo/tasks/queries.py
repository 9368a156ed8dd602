"""The only SQL about tasks. Every function takes the owner first, and none can see every user's tasks.

Each is one statement, built once. Queries name the owner although row security would hold without it:
it is the key's first column, and two walls are better than one.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    RowMapping,
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

LARGEST_LIST = 1000

tasks = Task.metadata.tables["todo.tasks"]
# Not named as the columns are: those names are SQLAlchemy's in an INSERT or UPDATE.
OWNER = bindparam("owner", type_=Text)
ID = bindparam("task_id", type_=BigInteger)
COMPLETED = bindparam("new_completed", type_=Boolean)
MINE = tasks.c.user_id == OWNER
THIS = MINE & (tasks.c.id == ID)

LIST = select(tasks).where(MINE).order_by(tasks.c.id.desc()).limit(LARGEST_LIST)
GET = select(tasks).where(THIS)
CREATE = (
    insert(tasks)
    .values(
        user_id=OWNER,
        title=bindparam("new_title"),
        description=bindparam("new_description"),
        completed_at=case((COMPLETED, sql.now())),
    )
    .returning(*tasks.c)
)
DELETE = delete(tasks).where(THIS).returning(tasks.c.id)


def list_tasks(user_id: str) -> list[RowMapping]:
    """The user's newest tasks, newest first, at most LARGEST_LIST."""
    return list(fetch(user_id, LIST, {"owner": user_id}))


def create_task(user_id: str, new: Mapping[str, Any]) -> RowMapping:
    """Store a task and give it."""
    values = _name_new({"description": None, "completed": False, **new})
    return fetch(user_id, CREATE, {**values, "owner": user_id})[0]


def get_task(user_id: str, task_id: int) -> RowMapping:
    """The user's task; raises NotFound."""
    return _only(fetch(user_id, GET, {"owner": user_id, "task_id": task_id}))


def change_task(user_id: str, task_id: int, changes: Mapping[str, Any]) -> RowMapping:
    """Change the members given and give the task as it is then; raises NotFound.

    What is so already is not written: a repeated request moves neither ``updated_at`` nor the version.
    """
    if not changes:
        return get_task(user_id, task_id)
    values = {**_name_new(changes), "owner": user_id, "task_id": task_id}
    return _only(fetch(user_id, _change(frozenset(changes)), values))


def toggle_task(user_id: str, task_id: int) -> RowMapping:
    """Complete an open task, reopen a completed one, and give it; raises NotFound."""
    return _only(fetch(user_id, _change(frozenset({"toggle"})), {"owner": user_id, "task_id": task_id}))


def delete_task(user_id: str, task_id: int) -> None:
    """Delete the user's task; raises NotFound."""
    _only(fetch(user_id, DELETE, {"owner": user_id, "task_id": task_id}))


@cache
def _change(members: frozenset[str]) -> Any:
    """The statement that changes these members: lock the row, write what differs, give what is there then.

    The lock makes the second of two concurrent changes see the first; without it a row that a
    concurrent change made equal would be answered as it was before.
    """
    old = select(tasks).where(THIS).with_for_update().cte("old")
    columns: dict[str, ColumnElement[Any]] = {}
    for member in members:
        if member == "completed":
            columns["completed_at"] = case((COMPLETED, sql.coalesce(tasks.c.completed_at, sql.clock_timestamp())))
        elif member == "toggle":
            columns["completed_at"] = case((~tasks.c.completed, sql.clock_timestamp()))
        else:
            columns[member] = bindparam(f"new_{member}", type_=tasks.c[member].type)
    new = (
        update(tasks)
        .where(tasks.c.user_id == old.c.user_id, tasks.c.id == old.c.id)
        .where(or_(*(tasks.c[name].is_distinct_from(value) for name, value in columns.items())))
        .values(**columns, version=tasks.c.version + 1, updated_at=sql.clock_timestamp())
        .returning(*tasks.c)
        .cte("new")
    )
    return select(new).union_all(select(old).where(~exists(select(new))))


def _name_new(members: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in members.items()}


def _only(rows: Any) -> RowMapping:
    if not rows:
        raise NotFound
    row: RowMapping = rows[0]
    return row

"""The only SQL about tasks. Every function takes the owner first, and none can see every user's tasks.

Each is one statement, built once. Queries name the owner although row security would hold without it:
it is the key's first column, and two walls are better than one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Row,
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

from todo.cursors import read_cursor, write_cursor
from todo.isolation import fetch
from todo.tasks.finding import FILTERS, MINE, OWNER, SHOWN, Start, build_page, tasks
from todo.tasks.folding import fold, fold_unless_ascii
from todo.tasks.sorting import SORTS

ID = bindparam("task_id", type_=BigInteger)
COMPLETED = bindparam("new_completed", type_=Boolean)
THIS = MINE & (tasks.c.id == ID)


def spread(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a task's members are stored in, with their values."""
    columns = dict(members)
    if "due_date" in columns:
        columns["due_at"], columns["due_all_day"] = columns.pop("due_date") or (None, False)
    if "tags" in columns:
        columns["tags_folded"] = [fold(tag) for tag in columns["tags"]]
    for name in columns.keys() & {"title", "description"}:
        columns[f"{name}_folded"] = fold_unless_ascii(columns[name])
    return columns


# What a task is that nothing is said about but its title.
PLAIN: dict[str, Any] = {"description": None, "priority": None, "tags": [], "due_date": None}

GET = select(*SHOWN).where(THIS)
CREATE = (
    insert(tasks)
    .values(
        **{name: bindparam(f"new_{name}", type_=tasks.c[name].type) for name in spread({"title": "", **PLAIN})},
        user_id=OWNER,
        completed_at=case((COMPLETED, sql.now())),  # now(), as created_at's default is.
    )
    .returning(*SHOWN)
)
DELETE = delete(tasks).where(THIS).returning(tasks.c.id)

Columns = dict[str, ColumnElement[Any]]


def build_change(columns: Callable[[ColumnElement[Any]], Columns]) -> CompoundSelect[Any]:
    """Build the statement that sets columns of one task: lock the row, write what differs, return what is there then.

    ``columns`` takes the time of the change and returns the new values. The lock makes the second of two
    concurrent changes see the first; the clock is read after it, and once.
    """
    old = select(*SHOWN).where(THIS).with_for_update().cte("old")
    clock = select(sql.clock_timestamp().label("now")).select_from(old).cte("clock")
    now = select(clock.c.now).scalar_subquery()
    values = columns(now)
    new = (
        update(tasks)
        .where(tasks.c.user_id == old.c.user_id, tasks.c.id == old.c.id)
        .where(or_(*(tasks.c[name].is_distinct_from(value) for name, value in values.items())))
        .values(**values, version=tasks.c.version + 1, updated_at=now)
        .returning(*SHOWN)
        .cte("new")
    )
    return select(new).union_all(select(old).where(~exists(select(new))))


TOGGLE = build_change(lambda now: {"completed_at": case((~tasks.c.completed, now))})


@cache
def build_change_of(names: frozenset[str]) -> CompoundSelect[Any]:
    """Build the statement that changes these columns of one task, ``completed`` standing for ``completed_at``."""

    def columns(now: ColumnElement[Any]) -> Columns:
        values: Columns = {name: bindparam(f"new_{name}", type_=tasks.c[name].type) for name in names}
        if values.pop("completed", None) is not None:
            values["completed_at"] = case((COMPLETED, sql.coalesce(tasks.c.completed_at, now)))
        return values

    return build_change(columns)


class Page(NamedTuple):
    """Some of the tasks that were asked for, and the cursor of the next page, if there is one."""

    tasks: Sequence[Row[Any]]
    cursor: str | None


def find_tasks(user_id: str, find: Mapping[str, Any]) -> Page:
    """Return a page of the user's tasks, as FindSchema loads what to find; raises InvalidCursor."""
    sort = SORTS[find["sort"]]
    order = find.get("order", sort.order)
    filters = {name: find[name] for name in FILTERS if find.get(name) not in (None, [])}
    scope = [find["sort"], order, filters]
    values = {**filters, "owner": user_id, "size": find["limit"] + 1}
    start: Start = "first"
    if "cursor" in find:
        place = sort.read_place(read_cursor(find["cursor"], scope))
        start = "valueless" if place[0] is None else "valued"
        values |= {f"place_{number}": part for number, part in enumerate(reversed(place))}
    found = fetch(user_id, build_page(frozenset(filters), find["sort"], order, start), values)
    listed = found[: find["limit"]]
    more = len(found) > len(listed)
    return Page(listed, write_cursor(sort.find_place(listed[-1]), scope) if more else None)


def create_task(user_id: str, new: Mapping[str, Any]) -> Row[Any]:
    """Store a task and return it."""
    values = name_values(spread({"completed": False, **PLAIN, **new}))
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
    columns = spread(changes)
    values = {**name_values(columns), "owner": user_id, "task_id": task_id}
    return take_one(fetch(user_id, build_change_of(frozenset(columns)), values))


def toggle_task(user_id: str, task_id: int) -> Row[Any]:
    """Complete an open task, reopen a completed one, and return it; raises NotFound."""
    return take_one(fetch(user_id, TOGGLE, {"owner": user_id, "task_id": task_id}))


def delete_task(user_id: str, task_id: int) -> None:
    """Delete the user's task; raises NotFound."""
    take_one(fetch(user_id, DELETE, {"owner": user_id, "task_id": task_id}))


def name_values(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Name new values as the statements' parameters are named."""
    return {f"new_{name}": value for name, value in columns.items()}


def take_one(rows: Sequence[Row[Any]]) -> Row[Any]:
    """Return the only row; raises NotFound without one."""
    if not rows:
        raise NotFound
    return rows[0]

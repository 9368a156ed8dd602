"""The statements that list tasks: which, in which order, and from where.

A page is found by keyset: it begins beyond the place where the last one ended. So pages cost the same at any depth, and
no task is met twice or left out because others come and go. Each statement is built once for its shape.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Select,
    Text,
    all_,
    asc,
    bindparam,
    desc,
    select,
    tuple_,
    union_all,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY

from todo.tasks.folding import folded
from todo.tasks.models import Task
from todo.tasks.sorting import SORTS

tasks = Task.metadata.tables["todo.tasks"]
# What a task is answered from: its members, and two columns more.
MEMBERS = (
    *("id", "user_id", "title", "description", "completed", "completed_at"),
    *("priority", "tags", "due_date", "created_at", "updated_at"),
)
COLUMNS = {"due_date": "due_at"}
SHOWN = [tasks.c[COLUMNS.get(name, name)] for name in (*MEMBERS, "due_all_day", "version")]
# Not named as the columns are: those names are SQLAlchemy's in an INSERT or UPDATE.
OWNER = bindparam("owner", type_=Text)
MINE = tasks.c.user_id == OWNER

# Words have no white space in them, so none is found across the two.
SEARCHED = folded(tasks.c.title, tasks.c.title_folded) + sql.coalesce(
    "\n" + folded(tasks.c.description, tasks.c.description_folded), ""
)

FILTERS: dict[str, ColumnElement[bool]] = {
    "status": tasks.c.completed == bindparam("status", type_=Boolean),
    "completed": tasks.c.completed == bindparam("completed", type_=Boolean),
    "priority": tasks.c.priority == bindparam("priority", type_=Text),
    "tag": tasks.c.tags_folded.contains(bindparam("tag", type_=ARRAY(Text))),
    "due_before": tasks.c.due_at <= bindparam("due_before", type_=DateTime(timezone=True)),
    "due_after": tasks.c.due_at >= bindparam("due_after", type_=DateTime(timezone=True)),
    "search": SEARCHED.like(all_(bindparam("search", type_=ARRAY(Text)))),
}

SIZE = bindparam("size", type_=BigInteger)

# Where a page begins: with the first task, beyond one that has a value to sort by, or beyond one that has none.
Start = Literal["first", "valued", "valueless"]


@lru_cache(maxsize=1024)
def build_page(filters: frozenset[str], sort: str, order: str, start: Start) -> Select[Any]:
    """Build the statement of a page with these filters, in this order.

    Its parameters are ``owner``, ``size``, each filter's, and those of the place: ``place_0`` and so on, ``place_id``.
    """
    found = select(*SHOWN).where(MINE, *(FILTERS[name] for name in sorted(filters)))
    key = SORTS[sort].key(tasks.c)
    if not SORTS[sort].nullable:
        return take(found, key, order, go_on=start != "first")
    # Each of the two parts comes from an index in its order; both are cut before they are put together.
    valueless = take(found.where(key[0].is_(None)), (), order, go_on=start == "valueless")
    if start == "valueless":
        return valueless
    valued = take(found.where(key[0].is_not(None)), key, order, go_on=start == "valued")
    both = union_all(select(valued.subquery()), select(valueless.subquery())).subquery()
    key = SORTS[sort].key(both.c)
    return select(both).order_by(key[0].is_(None), *arrange(key, both.c.id, order)).limit(SIZE)


def take(found: Select[Any], key: Sequence[ColumnElement[Any]], order: str, *, go_on: bool) -> Select[Any]:
    """Order what was found by a key and the id, and cut a page from it: the first, or the one beyond the place."""
    if go_on:
        here = tuple_(*key, tasks.c.id)
        parts = [bindparam(f"place_{number}", type_=part.type) for number, part in enumerate(key)]
        there = tuple_(*parts, bindparam("place_id", type_=BigInteger))
        found = found.where(here > there if order == "asc" else here < there)
    return found.order_by(*arrange(key, tasks.c.id, order)).limit(SIZE)


def arrange(key: Sequence[ColumnElement[Any]], task_id: ColumnElement[int], order: str) -> list[ColumnElement[Any]]:
    """Return what to order by, all in one direction, so that an index can be read either way."""
    return [asc(part) if order == "asc" else desc(part) for part in (*key, task_id)]

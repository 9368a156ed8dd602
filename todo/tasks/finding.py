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

    Its parameters are ``owner``, ``size``, each filter's, and the parts of the place, counted from its end: ``place_0``
    is the id.
    """
    found = select(*SHOWN).where(MINE, *(FILTERS[name] for name in sorted(filters)))
    key, is_valueless = SORTS[sort].key(tasks.c), SORTS[sort].valueless
    if is_valueless is None:
        return take(found, key, order, (*key, tasks.c.id) if start != "first" else ())
    # Two parts, each of which an index has in its order; both are cut before they are put together.
    valueless = take(found.where(is_valueless(tasks.c)), key, order, (tasks.c.id,) if start == "valueless" else ())
    if start == "valueless":
        return valueless
    valued = take(found.where(key[0].is_not(None)), key, order, (*key, tasks.c.id) if start == "valued" else ())
    both = union_all(select(valued.subquery()), select(valueless.subquery())).subquery()
    return select(both).order_by(is_valueless(both.c), *arrange(SORTS[sort].key(both.c), both.c.id, order)).limit(SIZE)


def take(
    found: Select[Any], key: Sequence[ColumnElement[Any]], order: str, beyond: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    """Put what was found in order and cut a page from it, which begins beyond the place in these columns, if any."""
    if beyond:
        place = [bindparam(f"place_{number}", type_=part.type) for number, part in enumerate(reversed(beyond))]
        here, there = tuple_(*beyond), tuple_(*reversed(place))
        found = found.where(here > there if order == "asc" else here < there)
    return found.order_by(*arrange(key, tasks.c.id, order)).limit(SIZE)


def arrange(key: Sequence[ColumnElement[Any]], task_id: ColumnElement[int], order: str) -> list[ColumnElement[Any]]:
    """Return what to order by, all in one direction, so that an index can be read either way."""
    return [asc(part) if order == "asc" else desc(part) for part in (*key, task_id)]

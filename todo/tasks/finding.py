"""The statements that list tasks: which, in which order, and from where.

A page is found by keyset: it begins beyond the place where the last one ended. So pages cost the same at any depth, and
no task is met twice or left out because others come and go. Each statement is built once for its shape.
"""

from collections.abc import Sequence
from functools import cache
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

from todo.tasks.columns import IS_OWN, SHOWN, tasks
from todo.tasks.folding import build_folded
from todo.tasks.sorting import SORTS

# Words have no white space in them, so none is found across the two.
SEARCHED = build_folded(tasks.c.title, tasks.c.title_folded) + sql.coalesce(
    "\n" + build_folded(tasks.c.description, tasks.c.description_folded), ""
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


@cache
def build_page(filters: frozenset[str], sort: str, order: str, start: Start) -> Select[Any]:
    """Build the statement of a page with these filters, in this order.

    Its parameters are ``owner``, ``size``, each filter's, and the place's: ``after_0`` and so on, ``after_id``.
    """
    found = select(*SHOWN).where(IS_OWN, *(FILTERS[name] for name in sorted(filters)))
    key, is_valueless = SORTS[sort].key(tasks.c), SORTS[sort].valueless
    if is_valueless is None:
        return cut_page(found, key, order, (*key, tasks.c.id) if start != "first" else ())
    # Two parts, each of which an index has in its order; both are cut before they are put together.
    valueless = cut_page(found.where(is_valueless(tasks.c)), key, order, (tasks.c.id,) if start == "valueless" else ())
    if start == "valueless":
        return valueless
    valued = cut_page(found.where(key[0].is_not(None)), key, order, (*key, tasks.c.id) if start == "valued" else ())
    both = union_all(select(valued.subquery()), select(valueless.subquery())).subquery()
    ordered = list_order(SORTS[sort].key(both.c), both.c.id, order)
    return select(both).order_by(is_valueless(both.c), *ordered).limit(SIZE)


def cut_page(
    found: Select[Any], key: Sequence[ColumnElement[Any]], order: str, beyond: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    """Put what was found in order and cut a page from it, which begins beyond the place in these columns, if any."""
    if beyond:
        place = [bindparam(f"after_{number}", type_=part.type) for number, part in enumerate(beyond[:-1])]
        here, there = tuple_(*beyond), tuple_(*place, bindparam("after_id", type_=BigInteger))
        found = found.where(here > there if order == "asc" else here < there)
    return found.order_by(*list_order(key, tasks.c.id, order)).limit(SIZE)


def list_order(key: Sequence[ColumnElement[Any]], task_id: ColumnElement[int], order: str) -> list[ColumnElement[Any]]:
    """Return what to order by, all in one direction, so that an index can be read either way."""
    return [asc(part) if order == "asc" else desc(part) for part in (*key, task_id)]

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
    asc,
    bindparam,
    desc,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY

from todo.statements import Statement
from todo.tasks.columns import IS_OWN, SHOWN, tasks
from todo.tasks.folding import build_folded
from todo.tasks.sorting import SORTS

FILTERS: dict[str, ColumnElement[bool]] = {
    "status": tasks.c.completed == bindparam("status", type_=Boolean),
    "completed": tasks.c.completed == bindparam("completed", type_=Boolean),
    "priority": tasks.c.priority == bindparam("priority", type_=Text),
    "tag": tasks.c.tags_folded.contains(bindparam("tag", type_=ARRAY(Text))),
    "due_before": tasks.c.due_at <= bindparam("due_before", type_=DateTime(timezone=True)),
    "due_after": tasks.c.due_at >= bindparam("due_after", type_=DateTime(timezone=True)),
}

# What words are looked for in, made once for each task. No word has white space, so none is found across the two.
SEARCHED = (
    select(
        (
            build_folded(tasks.c.title, tasks.c.title_folded)
            + sql.coalesce("\n" + build_folded(tasks.c.description, tasks.c.description_folded), "")
        ).label("text")
    )
    .correlate(tasks)
    .offset(0)
    .lateral("searched")
)

SIZE = bindparam("size", type_=BigInteger)

# Where a page begins: with the first task, beyond one that has a value to sort by, or beyond one that has none.
Start = Literal["first", "valued", "valueless"]


@cache
def build_page(filters: frozenset[str], words: int, sort: str, order: str, start: Start) -> Statement:
    """Build the statement of a page with these filters and that many words, in this order.

    Its parameters are ``owner``, ``size``, each filter's, ``word_0`` and so on, and the place's: ``after_0`` and so on,
    ``after_id``. Its rows have the columns of a task, and then the parts of its key.
    """
    return Statement(select_page(filters, words, sort, order, start))


def select_page(filters: frozenset[str], words: int, sort: str, order: str, start: Start) -> Select[Any]:
    """Select a page as build_page says."""
    key, valueless = SORTS[sort].key(order), SORTS[sort].valueless
    found = select(*SHOWN, *(part.label(f"key_{number}") for number, part in enumerate(key)))
    found = found.where(IS_OWN, *(FILTERS[name] for name in sorted(filters)))
    if words:
        found = found.select_from(tasks.join(SEARCHED, true()))
        found = found.where(
            *(sql.strpos(SEARCHED.c.text, bindparam(f"word_{n}", type_=Text)) > 0 for n in range(words))
        )
    if valueless is None:
        return cut_page(found, key, order, (*key, tasks.c.id) if start != "first" else ())
    # Two parts, each of which an index has in its order; both are cut before they are put together.
    without = cut_page(found.where(valueless), key, order, (tasks.c.id,) if start == "valueless" else ())
    if start == "valueless":
        return without
    valued = cut_page(found.where(key[0].is_not(None)), key, order, (*key, tasks.c.id) if start == "valued" else ())
    both = union_all(select(valued.subquery()), select(without.subquery())).subquery()
    ordered = list_order([both.c[f"key_{number}"] for number in range(len(key))], both.c.id, order)
    return select(both).order_by(both.c.key_0.is_(None), *ordered).limit(SIZE)


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

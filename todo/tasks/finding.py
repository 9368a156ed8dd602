"""The statements that list tasks: which, in which order, and from where.

A page is found by keyset: it begins beyond the place where the last one ended. So pages cost the same at any depth, and
no task is met twice or left out because others come and go. Each statement is built once for its shape.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Select,
    Subquery,
    Text,
    all_,
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

from todo.database.folding import build_folded
from todo.database.statements import Statement
from todo.tasks.columns import IS_OWN, SHOWN, tasks
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

# What must all be in it, as LIKE has them: one parameter, however many.
PATTERNS = bindparam("patterns", type_=ARRAY(Text))

SIZE = bindparam("size", type_=BigInteger)

LIKE_SPECIAL, QUOTED = re.compile(r"[\\%_]"), r"\\\g<0>"

# Where a page begins: with the first task, beyond one that has a value to sort by, or beyond one that has none.
Start = Literal["first", "valued", "valueless"]


# There are some thousand shapes, of which whoever asks chooses; all of them would be too many to keep.
@lru_cache(512)
def build_page(
    filters: frozenset[str], sort: str, order: str, start: Start, *, searched: bool, counted: bool
) -> Statement:
    """Build the statement of a page with these filters, in this order.

    Its parameters are ``owner``, ``size``, each filter's, ``patterns`` if it is ``searched``, and the place's:
    ``after_0`` and so on, ``after_id``. Its rows have the columns of a task, and then the parts of its key. If
    ``counted``, they end with the ``total`` of all pages, and a page without tasks has one row with nothing else.
    """
    page = select_page(filters, sort, order, start, searched=searched)
    if not counted:
        return Statement(page)
    shown = page.subquery()
    total = filter_tasks(select(sql.count().label("total")), filters, searched=searched).subquery()
    return Statement(
        select(shown, total.c.total)
        .select_from(total.outerjoin(shown, true()))
        .order_by(*list_place(shown, len(SORTS[sort].readers), order))
    )


def write_pattern(word: str) -> str:
    """Return the pattern, as LIKE has it, of a text that has the word in it."""
    return f"%{LIKE_SPECIAL.sub(QUOTED, word)}%"


def filter_tasks(selected: Select[Any], filters: frozenset[str], *, searched: bool) -> Select[Any]:
    """Select from the user's tasks those that the filters leave, and the search."""
    if searched:
        selected = selected.select_from(tasks.join(SEARCHED, true())).where(SEARCHED.c.text.like(all_(PATTERNS)))
    return selected.where(IS_OWN, *(FILTERS[name] for name in sorted(filters)))


def select_page(filters: frozenset[str], sort: str, order: str, start: Start, *, searched: bool) -> Select[Any]:
    """Select a page as build_page says."""
    key, valueless = SORTS[sort].key(order), SORTS[sort].valueless
    found = select(*SHOWN, *(part.label(f"key_{number}") for number, part in enumerate(key)))
    found = filter_tasks(found, filters, searched=searched)
    if valueless is None:
        return cut_page(found, key, order, (*key, tasks.c.id) if start != "first" else ())
    # Two parts, each of which an index has in its order; both are cut before they are put together.
    without = cut_page(found.where(valueless), key, order, (tasks.c.id,) if start == "valueless" else ())
    if start == "valueless":
        return without
    valued = cut_page(found.where(key[0].is_not(None)), key, order, (*key, tasks.c.id) if start == "valued" else ())
    both = union_all(select(valued.subquery()), select(without.subquery())).subquery()
    return select(both).order_by(*list_place(both, len(key), order)).limit(SIZE)


def cut_page(
    found: Select[Any], key: Sequence[ColumnElement[Any]], order: str, beyond: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    """Put what was found in order and cut a page from it, which begins beyond the place in these columns, if any."""
    if beyond:
        place = [bindparam(f"after_{number}", type_=part.type) for number, part in enumerate(beyond[:-1])]
        here, there = tuple_(*beyond), tuple_(*place, bindparam("after_id", type_=BigInteger))
        found = found.where(here > there if order == "asc" else here < there)
    return found.order_by(*list_order(key, tasks.c.id, order)).limit(SIZE)


def list_place(page: Subquery, parts: int, order: str) -> list[ColumnElement[Any]]:
    """Return what to order a page by whose key has that many parts: those without a value last."""
    key = [page.c[f"key_{number}"] for number in range(parts)]
    return [*(part.is_(None) for part in key[:1]), *list_order(key, page.c.id, order)]


def list_order(key: Sequence[ColumnElement[Any]], task_id: ColumnElement[int], order: str) -> list[ColumnElement[Any]]:
    """Return what to order by, all in one direction, so that an index can be read either way."""
    return [asc(part) if order == "asc" else desc(part) for part in (*key, task_id)]

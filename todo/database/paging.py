"""Statements that list rows in pages, by keyset: a page begins after the last row of the page before.

So a page costs the same at any depth, and concurrent changes neither repeat a row nor skip one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
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

from todo.database.cursors import read_cursor, write_cursor
from todo.database.isolation import fetch
from todo.database.page_sizes import PAGE_BYTES, SMALL, cut_page
from todo.database.resource import Resource
from todo.database.sorting import Sort, Start
from todo.database.statements import Statement, row_of

M = TypeVar("M")

SIZE = bindparam("size", type_=BigInteger)
# All of them must match, as LIKE patterns: one parameter, however many there are.
PATTERNS = bindparam("patterns", type_=ARRAY(Text))
LIKE_SPECIAL, QUOTED = re.compile(r"[\\%_]"), r"\\\g<0>"


@dataclass(frozen=True, eq=False)
class Listing(Generic[M]):
    """The lists of a resource: its orders and filters by name, and a table with the ``text`` that a search looks in."""

    resource: Resource[M]
    sorts: Mapping[str, Sort]
    filters: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)
    searched: FromClause | None = None


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a client asks of a list: an order, a place, the parameters of each filter, and words to search for."""

    limit: int
    sort: str = "created"
    order: str | None = None
    cursor: str | None = None
    filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    words: Sequence[str] = ()


class Page(NamedTuple, Generic[M]):
    """Rows of a list, the cursor of the next page if there is one, and the number of all rows if they were counted."""

    rows: Sequence[M]
    cursor: str | None
    total: int | None


def find_page(
    listing: Listing[M], user_id: str, query: Query, *, is_counted: bool = False, seconds: int | None = None
) -> Page[M]:
    """Return a page of the user's rows; ``seconds`` is the timeout. Raises InvalidCursor, and what fetch raises."""
    sort = listing.sorts[query.sort]
    order = query.order or sort.order
    scope = [str(listing.resource.table), query.sort, order, query.filters, list(query.words)]
    start: Start = "first"
    values: dict[str, Any] = {"owner": user_id, "size": query.limit + 1}
    for parameters in query.filters.values():
        values |= parameters
    if query.cursor is not None:
        start, place = sort.read_place(read_cursor(query.cursor, scope))
        values |= place
    if query.words:
        values["patterns"] = [write_pattern(word) for word in query.words]
    is_large = query.limit > SMALL
    shape = Shape(frozenset(query.filters), query.sort, order, start, bool(query.words), is_counted, is_large)
    found: Sequence[Any] = fetch(user_id, build_page(listing, shape), values, repeatable=True, seconds=seconds)
    total = None
    if is_counted:
        total, found = found[0].total, [row for row in found if row.id is not None]
    # The last row only shows that there is another page, if it exceeds the limit or the size.
    limit = len(found) - 1 if is_large and found and found[-1].bytes > PAGE_BYTES else query.limit
    shown = found[:limit]
    cursor = None
    if len(found) > len(shown):
        cursor = write_cursor([getattr(shown[-1], name) for name in (*sort.names, "id")], scope)
    return Page(shown, cursor, total)


@dataclass(frozen=True)
class Shape:
    """Everything that changes the SQL of a page. Clients can combine it in thousands of ways."""

    filters: frozenset[str]
    sort: str
    order: str
    start: Start
    is_searched: bool
    is_counted: bool
    is_large: bool


# All shapes would be too many to keep.
@lru_cache(512)
def build_page(listing: Listing[M], shape: Shape) -> Statement[M]:
    """Build the statement of a page.

    Its parameters are ``owner``, ``size``, each filter's, ``patterns`` for a search, and those of Sort.read_place. Its
    rows also have the parts of the sort key. In a large page they have ``bytes``, the size of the texts up to there. In
    a counted page they have ``total``, the number of rows of all pages. A counted page without rows has one row, in
    which everything but ``total`` is NULL.
    """
    sort, page = listing.sorts[shape.sort], select_page(listing, shape)
    if shape.is_large:
        page = cut_page(page.subquery(), listing.resource.texts, partial(list_place, sort=sort, order=shape.order))
    names = [*sort.names, *(["bytes"] if shape.is_large else []), *(["total"] if shape.is_counted else [])]
    row = row_of(listing.resource.model, [*listing.resource.row.names, *names])
    if not shape.is_counted:
        return Statement(page, row=row)
    shown = page.subquery()
    total = filter_rows(listing, shape, select(sql.count().label("total"))).subquery()
    counted = select(shown, total.c.total).select_from(total.outerjoin(shown, true()))
    return Statement(counted.order_by(*list_place(shown, sort, shape.order)), row=row)


def write_pattern(word: str) -> str:
    """Return the LIKE pattern of texts that contain the word."""
    return f"%{LIKE_SPECIAL.sub(QUOTED, word)}%"


def filter_rows(listing: Listing[Any], shape: Shape, selected: Select[Any]) -> Select[Any]:
    """Select the user's rows that match the filters and the search."""
    searched = listing.searched
    if shape.is_searched and searched is not None:
        table = listing.resource.table.join(searched, true())
        selected = selected.select_from(table).where(searched.c.text.like(all_(PATTERNS)))
    return selected.where(listing.resource.is_own, *(listing.filters[name] for name in sorted(shape.filters)))


def select_page(listing: Listing[Any], shape: Shape) -> Select[Any]:
    """Select the rows of a page, with the parts of their sort key."""
    sort, row_id = listing.sorts[shape.sort], listing.resource.table.c.id
    key = sort.key(shape.order)
    labelled = [part.label(name) for name, part in zip(sort.names, key, strict=True)]
    found = filter_rows(listing, shape, select(*listing.resource.columns, *labelled))
    after_id = {"after_id": row_id}
    after_key = {f"after_{name}": part for name, part in zip(sort.names, key, strict=True)} | after_id

    def cut(rows: Select[Any], place: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
        """Order the rows, and cut a page that begins after a place, given as parameters and their columns."""
        if place:
            here = tuple_(*place.values())
            there = tuple_(*(bindparam(name, type_=column.type) for name, column in place.items()))
            rows = rows.where(here > there if shape.order == "asc" else here < there)
        return rows.order_by(*list_order([*key, row_id], shape.order)).limit(SIZE)

    if sort.valueless is None:
        return cut(found, after_key if shape.start == "valued" else {})
    # Rows with and without a value each use the index. Each part is limited before the union.
    without = cut(found.where(sort.valueless), after_id if shape.start == "valueless" else {})
    if shape.start == "valueless":
        return without
    valued = cut(found.where(key[0].is_not(None)), after_key if shape.start == "valued" else {})
    both = union_all(select(valued.subquery()), select(without.subquery())).subquery()
    return select(both).order_by(*list_place(both, sort, shape.order)).limit(SIZE)


def list_place(page: Subquery, sort: Sort, order: str) -> list[ColumnElement[Any]]:
    """Return the ORDER BY of a page from its own columns: rows without a value come last."""
    key = [page.c[name] for name in sort.names]
    return [*(part.is_(None) for part in key[:1]), *list_order([*key, page.c.id], order)]


def list_order(key: Sequence[ColumnElement[Any]], order: str) -> list[ColumnElement[Any]]:
    """Return an ORDER BY with one direction for all parts, so that an index can be read either way."""
    return [asc(part) if order == "asc" else desc(part) for part in key]

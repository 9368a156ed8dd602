"""Pages of the change feed: the rows of a user in the order of their numbers (feeds.py), with the deleted ones."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Subquery,
    bindparam,
    cast,
    false,
    null,
    select,
    true,
    tuple_,
    union_all,
)

from todo.database.cursors import read_cursor, write_cursor
from todo.database.feeds import Feed
from todo.database.isolation import fetch
from todo.database.page_sizes import PAGE_BYTES, SMALL, cut_page
from todo.database.paging import SIZE
from todo.database.resource import MAX_ID, OWNER, Resource
from todo.database.sorting import read_id
from todo.database.statements import Statement, row_of
from todo.errors import CursorExpired, InvalidCursor

M = TypeVar("M")

SCOPE = "changes"
AFTER = [bindparam(name, type_=BigInteger) for name in ("after_change", "after_id")]
SINCE = bindparam("since", type_=BigInteger)


class Place(NamedTuple):
    """The content of a cursor: the row after which a page begins, by its number and its ID.

    It is valid in one ``epoch`` of the user's counter; None while the user has none. The client began its copy when the
    counter was at ``since``, so it needs no row that was deleted before.
    """

    epoch: str | None
    since: int
    change: int
    id: int


# Without a cursor, no deleted row is needed.
START = Place(None, MAX_ID, 0, 0)
# The place of an empty copy from before the counter existed: everything is yet to come.
EMPTY = Place(None, 0, 0, 0)


class Changes(NamedTuple):
    """Rows that have changed, each with ``deleted``; the cursor to go on with; and whether there are more."""

    rows: Sequence[Any]
    cursor: str
    has_more: bool


def find_changes(
    resource: Resource[Any], trash: Resource[Any], user_id: str, cursor: str | None, limit: int
) -> Changes:
    """Return the changes after a cursor. Raises InvalidCursor, CursorExpired, and what fetch raises.

    Rows deleted since the last page are listed by their ID and UID only; the others as they are now.
    """
    place = START if cursor is None else read_place(cursor)
    is_large = limit > SMALL
    values = {"owner": user_id, "size": limit + 1, "since": place.since}
    values |= {"after_change": place.change, "after_id": place.id}
    found: Sequence[Any] = fetch(user_id, build_changes(resource, trash, is_large), values, repeatable=True)
    counter = found[0]
    latest, floor = counter.latest or 0, counter.floor or 0
    if cursor is not None:
        is_of_epoch = (place.epoch == counter.epoch or place == EMPTY) and place.change <= latest
        # The client has all changes up to ``known``. It may have some of the changes with the next number.
        known = max(place.change - (place.id < MAX_ID), place.since)
        if not is_of_epoch or known < floor:
            raise CursorExpired
    rows = [row for row in found if row.id is not None]
    # The last row only shows that there is another page, if it exceeds the limit or the size.
    shown = rows[: len(rows) - 1 if is_large and rows and rows[-1].bytes > PAGE_BYTES else limit]
    has_more = len(rows) > len(shown)
    since = latest if cursor is None else place.since
    last = shown[-1] if shown else place
    # The number of the next row. Until the counter exists, rows have no number, and more of them can come.
    following = rows[len(shown)].change if has_more else latest + 1 if counter.epoch else last.change
    end = (following - 1, MAX_ID) if following > last.change else (last.change, last.id)
    return Changes(shown, write_cursor([counter.epoch, since, *end], SCOPE), has_more)


def read_place(cursor: str) -> Place:
    """Return the place of a cursor; raises InvalidCursor: anyone can write a cursor."""
    try:
        epoch, *numbers = read_cursor(cursor, SCOPE)
        since, change, row_id = map(read_id, numbers)
    except ValueError:
        raise InvalidCursor from None
    return Place(epoch, since, change, row_id)


@cache
def build_changes(resource: Resource[M], trash: Resource[Any], is_large: bool) -> Statement[M]:
    """Build the statement of a page of changes.

    Each row has the counter of the user: ``epoch``, ``latest`` and ``floor``; NULL if there is none. Without changes,
    there is one row in which all else is NULL. In a large page, rows have ``bytes`` (page_sizes.py).
    """
    table, gone, feeds = resource.table, trash.table, Feed.__table__
    live = select(*resource.columns, table.c.change, false().label("deleted"))
    live = live.where(resource.is_own, tuple_(table.c.change, table.c.id) > tuple_(*AFTER))
    # Of a deleted row, nothing else is shown.
    columns = (
        gone.c[each.name] if each.name in {"id", "uid"} else cast(null(), each.type).label(each.name)
        for each in resource.columns
    )
    deleted = select(*columns, gone.c.change, true().label("deleted"))
    deleted = deleted.where(trash.is_own, tuple_(gone.c.change, gone.c.id) > tuple_(*AFTER), gone.c.change > SINCE)
    # Each part is limited before the union, so that each reads its index.
    parts = [
        rows.order_by(*order).limit(SIZE).subquery()
        for rows, order in ((live, (table.c.change, table.c.id)), (deleted, (gone.c.change, gone.c.id)))
    ]
    both = union_all(*(select(part) for part in parts)).subquery()
    page = select(both).order_by(*list_order(both)).limit(SIZE)
    if is_large:
        page = cut_page(page.subquery(), resource.texts, list_order)
    rows, user = page.subquery(), select(OWNER.label("user_id")).subquery()
    counter = [feeds.c.epoch, feeds.c.change.label("latest"), feeds.c.floor]
    source = user.outerjoin(feeds, feeds.c.user_id == OWNER).outerjoin(rows, true())
    names = [*resource.row.names, "change", "deleted", *(["bytes"] if is_large else []), "epoch", "latest", "floor"]
    return Statement(
        select(rows, *counter).select_from(source).order_by(*list_order(rows)), row=row_of(resource.model, names)
    )


def list_order(page: Subquery) -> list[ColumnElement[Any]]:
    """Return the ORDER BY of a page."""
    return [page.c.change, page.c.id]

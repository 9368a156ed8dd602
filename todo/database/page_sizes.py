"""Pages end early if their rows are large. PostgreSQL adds the sizes up, so it sends no more than the page shows."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, select
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY

# Pages of more rows than SMALL end before their texts exceed PAGE_BYTES. Others need not be measured.
PAGE_BYTES, SMALL = 2**20, 64


def cut_page(
    page: Subquery, texts: Sequence[ColumnElement[Any]], order: Callable[[Subquery], list[ColumnElement[Any]]]
) -> Select[Any]:
    """Select the rows of a page until their texts exceed PAGE_BYTES, and the first row that does.

    The column ``bytes`` is the size of the texts up to and including the row. ``order`` returns the order of the page.
    """
    size: Any = reduce(add, (measure(page.c[str(text.key)]) for text in texts))
    sized = select(
        page, size.label("own_bytes"), sql.sum(size).over(order_by=order(page), rows=(None, 0)).label("bytes")
    ).subquery()
    shown = [column for column in sized.c if column.key != "own_bytes"]
    return select(*shown).where(sized.c.bytes - sized.c.own_bytes <= PAGE_BYTES).order_by(*order(sized))


def measure(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the size of a text, or of an array of texts. PostgreSQL knows it without reading a long text."""
    return sql.coalesce(sql.octet_length(sql.array_to_string(text, "") if isinstance(text.type, ARRAY) else text), 0)

"""Changes of one row. One statement compares its version, writes, and returns the row.

Concurrent changes wait for each other, and the second one compares with the result of the first.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Delete,
    Update,
    any_,
    bindparam,
    delete,
    exists,
    false,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY

from todo.database.creating import bind_new
from todo.database.isolation import fetch
from todo.database.resource import NO_ID, Resource
from todo.database.statements import Statement, join_rows, row_like
from todo.errors import Changed, Excluded, NotFound

M = TypeVar("M")
T = TypeVar("T")

ID = bindparam("row_id", type_=BigInteger)
# The versions that may be changed, NULL for any; and those that may not, NULL for all.
ALLOWED = bindparam("allowed", type_=ARRAY(BigInteger))
REFUSED = bindparam("refused", type_=ARRAY(BigInteger))
# How often a change is tried while other requests change the row before it is locked.
ATTEMPTS = 10


class Versions(NamedTuple):
    """The versions of a row that may be changed: ``allowed``, None for any, without ``refused``, None for all."""

    allowed: list[int] | None
    refused: list[int] | None


ANY_VERSION = Versions(None, [])


class Outcome(NamedTuple):
    """Whether the row has its new values. If not, nothing was written."""

    done: bool


def build_get(resource: Resource[M]) -> Statement[M]:
    """Build the statement that returns one row."""
    return Statement(select(*resource.columns).where(is_row(resource)), row=resource.row)


def build_change(
    resource: Resource[M], assign: Callable[[ColumnElement[Any]], Mapping[str, ColumnElement[Any]]]
) -> Statement[tuple[M, Outcome]]:
    """Build the statement that sets columns of one row, unless all have their new values already.

    ``assign`` takes the timestamp of the change and returns the new values. Each timestamp of a row is later than the
    one before, also if the change waited for another one. Citus accepts neither clock_timestamp() here, nor a sum that
    depends on the time zone of the session.
    """
    table, utc = resource.table, text("'UTC'")
    clock = select(sql.statement_timestamp().label("now")).cte("clock")
    next_time = sql.timezone(utc, sql.timezone(utc, table.c.updated_at) + text("interval '1 microsecond'"))
    now = sql.greatest(next_time, clock.c.now)
    values = assign(now)
    differs = or_(*(table.c[name].is_distinct_from(value) for name, value in values.items()))
    change = update(table).where(is_row(resource), is_expected(resource), differs)
    change = change.values(**values, version=table.c.version + 1, updated_at=now)
    # A row that has the new values already needs no version: a repeated request succeeds (RFC 9110 section 13.1.1).
    return build_write(resource, change, ~is_refused(resource) & ~differs)


def build_delete(resource: Resource[M]) -> Statement[tuple[M, Outcome]]:
    """Build the statement that deletes one row and returns it."""
    return build_write(resource, delete(resource.table).where(is_row(resource), is_expected(resource)), false())


def build_write(
    resource: Resource[M], write: Update | Delete, is_done: ColumnElement[bool]
) -> Statement[tuple[M, Outcome]]:
    """Build the statement that returns the row of a write, or else the row that was not written.

    A write that waited for another transaction compares with the row of that transaction. The row that was not written
    is locked, because only a locked row is not read from the statement's snapshot. ``is_done`` tells whether it needs
    no write. Each part names the owner and the ID as constants, so PostgreSQL plans one partition, and Citus a shard.
    """
    written = write.returning(*resource.columns).cte("written")
    rest = select(*resource.columns, is_done.label("done")).where(is_row(resource), ~exists(select(written)))
    both = select(written, true().label("done")).union_all(select(rest.with_for_update().cte("rest")))
    return Statement(both, row=join_rows(resource.row, row_like(Outcome)))


def build_comparison(resource: Resource[M]) -> Statement[tuple[M, Outcome]]:
    """Build the statement of a change without values, which every row has already."""
    row = select(*resource.columns, (~is_refused(resource)).label("done")).where(is_row(resource))
    return Statement(row, row=join_rows(resource.row, row_like(Outcome)))


def is_expected(resource: Resource[Any]) -> ColumnElement[bool]:
    """Build the condition of a row with one of the expected versions."""
    return or_(ALLOWED.is_(None), resource.table.c.version == any_(ALLOWED)) & ~is_refused(resource)


def is_refused(resource: Resource[Any]) -> ColumnElement[bool]:
    """Build the condition of a row with one of the refused versions."""
    return sql.coalesce(resource.table.c.version == any_(REFUSED), true())


def is_row(resource: Resource[Any]) -> ColumnElement[bool]:
    """Build the condition of one row: the owner and the ID."""
    return resource.is_own & (resource.table.c.id == ID)


def change_row(
    user_id: str,
    row_id: int,
    statement: Statement[tuple[M, Outcome]],
    expected: Versions,
    columns: Mapping[str, Any] | None = None,
) -> M:
    """Change a row with one of the expected versions, and return it. Raises NotFound, Changed or Excluded."""
    values = bind_new(user_id, columns or {}) | expected._asdict()
    for _ in range(ATTEMPTS):
        row, outcome = fetch_row(user_id, row_id, statement, values)
        if outcome.done:
            return row
        version = cast(Any, row).version
        if expected.refused is None or version in expected.refused:
            raise Excluded
        if expected.allowed is not None and version not in expected.allowed:
            raise Changed
        # The row needed no write, and another request changed it before it was locked.
    raise RuntimeError(f"Other requests changed the row {ATTEMPTS} times")


def fetch_row(
    user_id: str,
    row_id: int,
    statement: Statement[T],
    values: Mapping[str, Any] | None = None,
    *,
    repeatable: bool = False,
) -> T:
    """Run a statement about one row, and return the row; raises NotFound. NO_ID needs no statement."""
    if row_id == NO_ID:
        raise NotFound
    rows = fetch(user_id, statement, {**(values or {}), "owner": user_id, "row_id": row_id}, repeatable=repeatable)
    if not rows:
        raise NotFound
    return rows[0]

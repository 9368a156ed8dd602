"""Changes of one row. One statement compares its version, writes, and returns the row.

Concurrent changes wait for each other, and the second one compares with the result of the first.
"""

from collections.abc import Callable, Mapping, Sequence
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
from todo.errors import Changed, NotFound

M = TypeVar("M")
T = TypeVar("T")

ID = bindparam("row_id", type_=BigInteger)
# The versions that may be changed; NULL for any.
VERSIONS = bindparam("versions", type_=ARRAY(BigInteger))
# How often a change is tried while other requests change the row before it is locked.
ATTEMPTS = 10


class Outcome(NamedTuple):
    """Whether the row had an expected version, and has its new values; if not, nothing was written."""

    expected: bool


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
    return build_write(resource, change, is_expected(resource) & ~differs)


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
    rest = select(*resource.columns, is_done.label("expected")).where(is_row(resource), ~exists(select(written)))
    both = select(written, true().label("expected")).union_all(select(rest.with_for_update().cte("rest")))
    return Statement(both, row=join_rows(resource.row, row_like(Outcome)))


def build_comparison(resource: Resource[M]) -> Statement[tuple[M, Outcome]]:
    """Build the statement that compares the version of one row, and changes nothing."""
    row = select(*resource.columns, is_expected(resource).label("expected")).where(is_row(resource))
    return Statement(row, row=join_rows(resource.row, row_like(Outcome)))


def is_expected(resource: Resource[Any]) -> ColumnElement[bool]:
    """Build the condition of a row with one of the expected versions."""
    return or_(VERSIONS.is_(None), resource.table.c.version == any_(VERSIONS))


def is_row(resource: Resource[Any]) -> ColumnElement[bool]:
    """Build the condition of one row: the owner and the ID."""
    return resource.is_own & (resource.table.c.id == ID)


def change_row(
    user_id: str,
    row_id: int,
    statement: Statement[tuple[M, Outcome]],
    versions: Sequence[int] | None,
    columns: Mapping[str, Any] | None = None,
) -> M:
    """Change a row with one of these versions, and return it; None allows any version. Raises NotFound or Changed."""
    values = bind_new(user_id, columns or {}) | {"versions": versions}
    for _ in range(ATTEMPTS):
        row, outcome = fetch_row(user_id, row_id, statement, values)
        if outcome.expected:
            return row
        if versions is not None and cast(Any, row).version not in versions:
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

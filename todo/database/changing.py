"""Changes of one row. One statement locks the row, compares its version, writes, and returns the row.

The lock makes concurrent changes wait for each other: the second one sees the result of the first. It also tells a
deleted row from a changed one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import CTE, BigInteger, ColumnElement, any_, bindparam, delete, exists, or_, select, update
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


class Outcome(NamedTuple):
    """Whether the row had an expected version; if not, nothing was written."""

    expected: bool


def build_get(resource: Resource[M]) -> Statement[M]:
    """Build the statement that returns one row."""
    return Statement(select(*resource.columns).where(is_row(resource)), row=resource.row)


def build_change(
    resource: Resource[M], assign: Callable[[CTE], Mapping[str, ColumnElement[Any]]]
) -> Statement[tuple[M, Outcome]]:
    """Build the statement that sets columns of one row, unless all have their new values already.

    ``assign`` takes the locked row and returns the new values. Columns that rows do not have follow from the others, so
    they are not compared. The column ``now`` is the timestamp of the change: it is read after the lock, and never goes
    back for a row.
    """
    table, old = resource.table, lock_row(resource)
    locked = select(old, sql.greatest(old.c.updated_at, sql.clock_timestamp()).label("now")).cte("locked")
    values = assign(locked)
    differences = [locked.c[name].is_distinct_from(value) for name, value in values.items() if name in locked.c]
    new = (
        update(table)
        .where(is_row(resource), locked.c.expected, or_(*differences))
        .values(**values, version=table.c.version + 1, updated_at=locked.c.now)
        .returning(*resource.columns, locked.c.expected)
        .cte("new")
    )
    unchanged = select(old).where(~exists(select(new)))
    return Statement(select(new).union_all(unchanged), row=join_rows(resource.row, row_like(Outcome)))


def build_comparison(resource: Resource[M]) -> Statement[tuple[M, Outcome]]:
    """Build the statement that compares the version of one row, and changes nothing."""
    return Statement(select(lock_row(resource)), row=join_rows(resource.row, row_like(Outcome)))


def build_delete(resource: Resource[M]) -> Statement[tuple[M, Outcome]]:
    """Build the statement that deletes one row and returns it."""
    old = lock_row(resource)
    deleted = delete(resource.table).where(is_row(resource), select(old.c.expected).scalar_subquery())
    return Statement(select(old).add_cte(deleted.cte("deleted")), row=join_rows(resource.row, row_like(Outcome)))


def lock_row(resource: Resource[Any]) -> CTE:
    """Build the part that locks the row, and compares its version with the expected ones.

    The other parts name the owner and the ID again, as constants: so PostgreSQL plans one partition, and Citus a shard.
    """
    version = resource.table.c.version
    expected = or_(VERSIONS.is_(None), version == any_(VERSIONS)).label("expected")
    return select(*resource.columns, expected).where(is_row(resource)).with_for_update().cte("old")


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
    row, outcome = fetch_row(user_id, row_id, statement, values)
    if not outcome.expected:
        raise Changed
    return row


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

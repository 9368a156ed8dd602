"""Changes of one row. One statement compares its version, writes, and returns the row.

Concurrent changes wait for each other, and the second one compares with the result of the first.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import (
    CTE,
    ClauseElement,
    ColumnElement,
    CompoundSelect,
    DateTime,
    Label,
    Table,
    TextClause,
    exists,
    false,
    literal_column,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy import func as sql

from todo.database.feeds import build_number, find_number, take_number
from todo.database.resource import Resource, write_version
from todo.database.rows import RowName, RowStatement, is_row
from todo.database.statements import RowType, Statement, join_rows, row_like
from todo.database.versions import Versions, is_expected, is_refused
from todo.errors import Changed, Excluded

M = TypeVar("M")
Result = TypeVar("Result")
T = TypeVar("T")

Assign = Callable[[ColumnElement[Any]], Mapping[str, ColumnElement[Any]]]
SOME_TIME = literal_column("CAST('infinity' AS timestamptz)", DateTime(timezone=True))
# How often a change is tried while other requests change the row before it is locked.
ATTEMPTS = 10


class Outcome(NamedTuple):
    """Whether the row has its new values. If not, nothing was written."""

    done: bool


class Effects(NamedTuple):
    """What else a change does, in SQL: further ``values`` of its row, and ``ctes`` that write other rows.

    They can read ``clock`` and ``feed``, which is empty if the row does not change. ``refusal`` tells whether the
    change is refused for another reason than its version: the CTEs must then write nothing. ``first`` are parts that
    run before it.
    """

    values: Mapping[str, TextClause] = MappingProxyType({})
    ctes: Sequence[CTE] = ()
    refusal: Label[bool] | None = None
    first: Sequence[ClauseElement] = ()


def build_change(
    resource: Resource[M], assign: Assign, values: Mapping[str, TextClause]
) -> RowStatement[tuple[M, Outcome]]:
    """Build the statement that sets columns of one row, unless all have their new values already; see select_change.

    ``values`` are further columns, which follow from these.
    """
    return RowStatement(
        lambda column: Statement(select_change(resource, column, assign, Effects(values)), row=with_outcome(resource))
    )


def build_exact_change(
    resource: Resource[M],
    assign: Assign,
    find_effects: Callable[[str], Effects],
    outcome: RowType[Result],
) -> RowStatement[tuple[M, Result]]:
    """Build the statement of a change whose effects read other rows, so it sees what is stored behind the lock.

    One part takes the number, and thereby the lock (feeds.py). The next one changes the row, and sees what all others
    wrote for the user. ``find_effects`` takes the column that names the row.
    """

    def build(column: str) -> Statement[tuple[M, Result]]:
        effects = find_effects(column)
        number = build_number(resource.table, *list_conditions(resource, column, assign))
        change = select_change(resource, column, assign, effects, is_counted=True)
        return Statement(*effects.first, number, change, row=join_rows(resource.row, outcome))

    return RowStatement(build)


def select_change(
    resource: Resource[Any],
    column: str,
    assign: Assign,
    effects: Effects,
    *labels: Label[Any],
    is_counted: bool = False,
) -> CompoundSelect[Any]:
    """Select a row after its change; ``assign`` takes the timestamp of the change and returns the new values.

    ``is_counted``: an earlier part took the number. Each timestamp of a row is later than the one before, also if the
    change waited for another one. Citus accepts neither clock_timestamp() here, nor a sum that depends on the time zone
    of the session.
    """
    table, utc = resource.table, text("'UTC'")
    clock = select(sql.statement_timestamp().label("now")).cte("clock")
    next_time = sql.timezone(utc, sql.timezone(utc, table.c.updated_at) + text("interval '1 microsecond'"))
    now = sql.greatest(next_time, clock.c.now)
    conditions = list_conditions(resource, column, assign)
    feed = find_number() if is_counted else take_number(table, *conditions)
    refusals = [effects.refusal] if effects.refusal is not None else []
    change = update(table).where(*conditions, *(~label.element for label in refusals))
    change = change.values(**assign(now), **effects.values, version=table.c.version + 1, updated_at=now)
    written = change.values(change=feed.c.change).returning(*resource.columns).cte("written")
    # A row that has the new values already needs no version: a repeated request succeeds (RFC 9110 section 13.1.1).
    is_done = ~is_refused(resource) & ~conditions[-1]
    outcome = select_outcome(resource, column, written, is_done, *refusals, *labels)
    return outcome.add_cte(clock, feed, *effects.ctes) if effects.ctes else outcome


def list_conditions(resource: Resource[Any], column: str, assign: Assign) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of a row that a change writes; the last is that a value differs."""
    table = resource.table
    # Any timestamp differs from NULL, so a constant is enough here. Citus then sends the whole statement to one shard.
    differences = [table.c[name].is_distinct_from(value) for name, value in assign(SOME_TIME).items()]
    # Without values, the condition is never true. It is not the constant false: PostgreSQL would then drop the
    # condition on the owner, and plan all partitions.
    return is_row(resource, column), is_expected(resource), or_(*(differences or [table.c.version < 0]))


def select_outcome(
    resource: Resource[Any],
    column: str,
    written: CTE,
    is_done: ColumnElement[bool],
    *labels: Label[Any],
) -> CompoundSelect[Any]:
    """Select the row of a write, or else the row that was not written.

    A write that waited for another transaction compares with the row of that transaction. The row that was not written
    is locked, because only a locked row is not read from the statement's snapshot. ``is_done`` tells whether it needs
    no write. ``labels`` are other reasons to write nothing, as further columns. Each part names the owner and the row
    as constants, so PostgreSQL plans one partition, and Citus a shard.
    """
    rest = select(*resource.columns, or_(is_done, *(label.element for label in labels)).label("done"), *labels).where(
        is_row(resource, column), ~exists().select_from(written)
    )
    columns = (written.c[name] for name in resource.row.names)
    done = select(*columns, true().label("done"), *(false().label(label.name) for label in labels))
    return done.union_all(select(rest.with_for_update(of=resource.table).cte("rest")))


def with_outcome(resource: Resource[M]) -> RowType[tuple[M, Outcome]]:
    """Return the type of a row with its outcome."""
    return join_rows(resource.row, row_like(Outcome))


def write_now(table: Table) -> str:
    """Return the SQL of the timestamp of a change as text, from the CTE ``clock``; see select_change."""
    last = f"timezone('UTC', timezone('UTC', {table}.updated_at) + interval '1 microsecond')"
    return f"greatest({last}, clock.now)"


def change_row(
    user_id: str,
    name: RowName,
    statement: RowStatement[tuple[M, Result]],
    expected: Versions,
    values: Mapping[str, Any] | None = None,
) -> tuple[M, Result]:
    """Change a row with one of the expected versions, and return it with the outcome.

    Raises NotFound, Changed or Excluded.
    """
    for _ in range(ATTEMPTS):
        row, outcome = statement.fetch(user_id, name, {**(values or {}), **expected._asdict()})
        if cast(Any, outcome).done:
            return row, outcome
        version = write_version(row)
        if expected.refused is None or version in expected.refused:
            raise Excluded
        if expected.allowed is not None and version not in expected.allowed:
            raise Changed
        # The row needed no write, and another request changed it before it was locked.
    raise RuntimeError(f"Other requests changed the row {ATTEMPTS} times")

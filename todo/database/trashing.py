"""The trash: rows that their user deleted, in a table of their own. They can be restored for some days.

There is no background process. Deletions look at the oldest rows of the user's trash, two for each deletion. They
remove a row if it is too old, or if there are too many. A removed row is no longer in the feed, so ``floor`` of the
counter tells which cursors have expired.
"""

from typing import Any, NamedTuple, TypeVar

from sqlalchemy import TextClause, delete, false, insert, select, text

from todo.database.changing import Outcome, select_outcome, with_outcome
from todo.database.creating import write_columns, write_insert, write_room
from todo.database.feeds import LOCK, take_number, write_number
from todo.database.resource import Resource
from todo.database.rows import TYPES, RowStatement, is_row
from todo.database.statements import NAMED, Statement, row_like
from todo.database.versions import is_expected, write_expected

M = TypeVar("M")

# The time since when a deleted row can be restored.
KEPT_SINCE = "now() - CAST(:trash_days AS integer) * interval '1 day'"

# The time of deletion of a hidden row: nobody can see or restore it, but it tells devices that the row is gone. It is
# as old as its last update.
HIDDEN = "CAST('epoch' AS timestamptz)"


class Removed(NamedTuple):
    """The number of rows that were removed from the trash."""

    number: int


def build_delete(
    resource: Resource[M], trash: Resource[Any], *, limited: bool = False, expires: bool = True
) -> RowStatement[tuple[M, Outcome]]:
    """Build the statement that moves one row to the trash, and returns it; see write_expiry for ``limited``.

    If ``expires``, it also removes the oldest rows of the trash, which costs a third of a deletion.
    """
    table, names = resource.table, ["user_id", *list_moved(resource)]

    def build(column: str) -> Statement[tuple[M, Outcome]]:
        # A deletion that is refused must not make room.
        found = f"{table}.user_id = :owner AND {table}.{column} = {write_name(column)} AND {write_expected(table)}"
        condition = f"AND EXISTS (SELECT FROM {table} WHERE {found})" if limited else ""
        oldest, expiry = write_expiry(trash, limited=limited, condition=condition)
        parts = [text(f"WITH {oldest} {expiry}")] if expires else []
        is_deleted = (is_row(resource, column), is_expected(resource))
        feed = take_number(table, *is_deleted)
        deletion = delete(table).where(*is_deleted, feed.c.change.is_not(None))
        written = deletion.returning(*table.c, feed.c.change.label("number")).cte("written")
        moved = select(*(written.c[name] for name in names), written.c.number)
        insertion = insert(trash.table).from_select([*names, "change"], moved, include_defaults=False)
        # RETURNING, because Citus would use COPY otherwise, which row security refuses.
        trashed = insertion.returning(trash.table.c.id).cte("trashed")
        outcome = select_outcome(resource, column, written, false()).add_cte(trashed)
        return Statement(*parts, outcome, row=with_outcome(resource))

    return RowStatement(build)


def write_expiry(trash: Resource[Any], *, limited: bool, condition: str = "") -> tuple[str, str]:
    """Return the SQL that removes the oldest rows of the trash if they are too old: a list of CTEs, and a DELETE.

    It looks at two rows for each of the ``deleted`` rows that move to the trash. If ``limited``, it also removes rows,
    until at most ``kept`` rows are listed, with ``listed`` new ones. Hidden rows take no room from them, until there
    are as many. A ``condition`` begins with AND.
    """
    table, number, kept = trash.table, "CAST(:deleted AS bigint)", "CAST(:kept AS bigint)"
    rows = f"SELECT FROM {table} AS trash WHERE trash.user_id = :owner"
    most = f"LIMIT 2 * ({kept} + {number})"
    sizes = f"""sizes AS MATERIALIZED (
          SELECT (SELECT count(*) FROM ({rows} {most}) AS counted) AS total,
            (SELECT count(*) FROM ({rows} AND {is_hidden("trash")} {most}) AS counted) AS hidden
        ),"""
    surplus = f"""place <= (
            SELECT greatest(total - hidden + :listed - {kept}, total + {number} - 2 * {kept}) FROM sizes)"""
    too_old = f"CASE WHEN {is_hidden('oldest')} THEN updated_at ELSE deleted_at END <= {KEPT_SINCE}"
    oldest = f"""
        {sizes if limited else ""} old AS (
          SELECT id, change FROM (
            SELECT *, row_number() OVER (ORDER BY change, id) AS place FROM {table} AS trash
            WHERE trash.user_id = :owner ORDER BY change, id LIMIT 2 * {number}
          ) AS oldest WHERE ({too_old} {f"OR {surplus}" if limited else ""}) {condition}
        ), raised AS (
          UPDATE todo.feeds AS feeds SET floor = greatest(floor, (SELECT max(change) FROM old))
          WHERE feeds.user_id = :owner AND EXISTS (SELECT FROM old) RETURNING floor
        )"""
    return oldest, (
        f"DELETE FROM {table} AS trash USING raised WHERE trash.user_id = :owner AND trash.id IN (SELECT id FROM old)"
    )


def build_restore(
    resource: Resource[M], trash: Resource[Any], *, limited: bool = False
) -> RowStatement[tuple[M, Outcome]]:
    """Build the statement that moves a row back from the trash; if ``limited``, only if there is room (write_room)."""
    columns, table = write_columns(resource), resource.table
    room, has_room = (f"{write_room(resource)}, ", "AND (SELECT has_room FROM existing)") if limited else ("", "")
    values = {name: name for name in list_moved(resource)}
    values |= {"version": "version + 1", "updated_at": "greatest(updated_at, now())"}

    def build(column: str) -> Statement[tuple[M, Outcome]]:
        kept = f"{trash.table} AS {table.name} WHERE {write_kept(table.name, column)}"
        return Statement(
            LOCK,
            text(
                f"""
                WITH {room} {write_number(f"FROM {kept} {has_room}")}, taken AS (
                  DELETE FROM {trash.table} AS trash USING feed WHERE {write_kept("trash", column)}
                  RETURNING trash.*
                ), restored AS ({write_insert(resource, values, "FROM taken, feed")} RETURNING {columns})
                SELECT {columns}, true AS done FROM restored AS {table.name}
                UNION ALL SELECT {columns}, false FROM {kept} AND NOT EXISTS (SELECT FROM restored)
                """
            ),
            row=with_outcome(resource),
        )

    return RowStatement(build)


def build_removal(trash: Resource[Any]) -> RowStatement[Removed]:
    """Build the statement that removes one row from the trash for good."""
    return RowStatement(lambda column: write_removal(trash, write_kept("trash", column)))


def build_emptying(trash: Resource[Any]) -> Statement[Removed]:
    """Build the statement that removes all rows of a user from the trash for good."""
    return write_removal(trash, f"trash.user_id = :owner AND NOT {is_hidden('trash')}")


def write_removal(trash: Resource[Any], condition: str) -> Statement[Removed]:
    """Return the statement that removes rows, and returns their number."""
    return Statement(LOCK, remove(trash, condition), row=row_like(Removed))


def remove(trash: Resource[Any], condition: str) -> TextClause:
    """Return the part that removes rows, which needs the lock of the counter, and selects their number."""
    return text(
        f"""
        WITH gone AS (DELETE FROM {trash.table} AS trash WHERE {condition} RETURNING change), feed AS (
          UPDATE todo.feeds AS feeds SET floor = greatest(floor, (SELECT max(change) FROM gone))
          WHERE feeds.user_id = :owner AND EXISTS (SELECT FROM gone)
        ) SELECT count(*) AS number FROM gone
        """
    )


def remove_expired(trash: Resource[Any], column: str) -> TextClause:
    """Return the part that removes one row if it is too old to be restored, which needs the lock of the counter."""
    name = f"trash.user_id = :owner AND trash.{column} = {write_name(column)}"
    return remove(trash, f"{name} AND trash.deleted_at <= {KEPT_SINCE}")


def write_kept(table: str, column: str) -> str:
    """Return the SQL condition of one row in the trash that can be restored."""
    return f"{table}.user_id = :owner AND {table}.{column} = {write_name(column)} AND {table}.deleted_at > {KEPT_SINCE}"


def is_hidden(table: str) -> str:
    """Return the SQL condition of a hidden row."""
    return f"({table}.deleted_at = {HIDDEN})"


def write_name(column: str) -> str:
    """Return the SQL of the parameter that names the row, with the type of its column."""
    return f"CAST(:row_name AS {TYPES[column].compile(NAMED)})"


def list_moved(resource: Resource[Any]) -> list[str]:
    """Return the columns that move to the trash and back, without those that each move sets."""
    return [each.name for each in resource.table.c if each.computed is None and each.name not in {"user_id", "change"}]

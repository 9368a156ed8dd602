"""Writes under a UID that the client chose: they create the row, or change it if it exists."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Label, Table, TextClause, false, literal_column, select, text, true, union_all

from todo.database.changing import Assign, select_change
from todo.database.creating import write_insert, write_room
from todo.database.feeds import write_lock
from todo.database.resource import Resource
from todo.database.rows import RowStatement, is_row
from todo.database.statements import Statement, join_rows, row_like

M = TypeVar("M")

WRITTEN_HERE = "xmin = pg_current_xact_id_if_assigned()::xid"


class PutOutcome(NamedTuple):
    """Whether the row needs no further attempt, whether it was created, and whether it is in the trash instead."""

    done: bool
    is_new: bool
    is_trashed: bool


def build_put(
    resource: Resource[M],
    trash: Resource[Any],
    assign: Assign,
    new: Mapping[str, str] | None,
    *,
    limited: bool = False,
) -> RowStatement[tuple[M, PutOutcome]]:
    """Build the statement that changes the row with a UID, or creates it from ``new``, the SQL of its columns.

    Without ``new`` it creates nothing, and if ``limited``, nothing without room (see write_room). It returns the row,
    or else the row of the trash, or none.
    """
    uid = "CAST(:row_name AS uuid)"
    if new is None:
        # A deletion that is not committed yet has the lock. Behind it, the row is in the trash.
        parts = [text(write_lock(f"SELECT :owner WHERE NOT ({write_is_free([resource.table], uid)})"))]
    else:
        parts = write_creation(resource, trash, new, uid, limited=limited)

    def build(column: str) -> Statement[tuple[M, PutOutcome]]:
        is_new: Label[bool] = literal_column(f"{resource.table}.{WRITTEN_HERE}").label("is_new")
        change = select_change(resource, column, assign, is_new, false().label("is_trashed"))
        columns = (trash.table.c[name] for name in resource.row.names)
        trashed = select(*columns, true(), false(), true()).where(is_row(trash, column))
        return Statement(*parts, union_all(change, trashed), row=join_rows(resource.row, row_like(PutOutcome)))

    return RowStatement(build)


def write_creation(
    resource: Resource[M], trash: Resource[Any], new: Mapping[str, str], uid: str, *, limited: bool
) -> list[TextClause]:
    """Return the parts that create a row unless its UID is in use.

    The first part locks the counter if there seems to be no row. Then the second part looks again, and nobody else can
    create the row meanwhile.
    """
    tables = [resource.table, trash.table]
    room, has_room = (f"{write_room(resource)}, ", "AND (SELECT has_room FROM existing)") if limited else ("", "")
    return [
        text(write_lock(f"SELECT :owner WHERE {write_is_free(tables[:1], uid)}")),
        text(
            f"""
            WITH {room} locked AS MATERIALIZED (
              SELECT change FROM todo.feeds WHERE todo.feeds.user_id = :owner AND {WRITTEN_HERE}
            ), feed AS (
              UPDATE todo.feeds AS feeds SET change = feeds.change + 1
              WHERE feeds.user_id = :owner AND EXISTS (SELECT FROM locked) AND {write_is_free(tables, uid)} {has_room}
              RETURNING change
            ) {write_insert(resource, {"uid": uid, **new}, "FROM feed")} RETURNING id
            """
        ),
    ]


def write_is_free(tables: Sequence[Table], uid: str) -> str:
    """Return the SQL condition that no row of the user in these tables has a UID."""
    return " AND ".join(
        f"NOT EXISTS (SELECT FROM {table} WHERE {table}.user_id = :owner AND {table}.uid = {uid})" for table in tables
    )

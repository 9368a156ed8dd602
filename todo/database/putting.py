"""Writes under a UID that the client chose: they create the row, or change it if it exists."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Label, Table, false, literal_column, select, text, true, union_all

from todo.database.changing import Assign, Effects, select_change
from todo.database.creating import write_insert, write_room
from todo.database.feeds import LOCK, WRITTEN_HERE, write_number
from todo.database.resource import Resource
from todo.database.rows import RowStatement, is_row
from todo.database.statements import Statement, join_rows, row_like
from todo.database.trashing import remove_expired

M = TypeVar("M")


class PutOutcome(NamedTuple):
    """``done``: the row needs no further attempt. ``is_full``: there was no room for a row that follows.

    ``is_new``: the row was created. ``is_trashed``: it is in the trash.
    """

    done: bool
    is_full: bool
    is_new: bool
    is_trashed: bool


def build_put(
    resource: Resource[M],
    trash: Resource[Any],
    assign: Assign,
    find_effects: Callable[[str], Effects],
    new: Mapping[str, str] | None,
    *,
    limited: bool = False,
) -> RowStatement[tuple[M, PutOutcome]]:
    """Build the statement that changes the row with a UID, or creates it from ``new``, the SQL of its columns.

    Without ``new`` it creates nothing, and if ``limited``, nothing without room (see write_room). It returns the row,
    or else the row of the trash, or none.
    """
    # Behind the lock, the row is either in the table or in the trash, and nobody else can create it.
    parts = [LOCK, remove_expired(trash, "uid")]
    if new is not None:
        uid = "CAST(:row_name AS uuid)"
        room, has_room = (f"{write_room(resource)}, ", "AND (SELECT has_room FROM existing)") if limited else ("", "")
        number = write_number(f"WHERE {write_is_free([resource.table, trash.table], uid)} {has_room}")
        parts.append(
            text(f"WITH {room}{number} {write_insert(resource, {'uid': uid, **new}, 'FROM feed')} RETURNING id")
        )

    def build(column: str) -> Statement[tuple[M, PutOutcome]]:
        is_new: Label[bool] = literal_column(f"{resource.table}.{WRITTEN_HERE}").label("is_new")
        effects = find_effects(column)
        change = select_change(resource, column, assign, effects, is_new, false().label("is_trashed"))
        columns = (trash.table.c[name] for name in resource.row.names)
        trashed = select(*columns, true(), false(), false(), true()).where(is_row(trash, column))
        return Statement(
            *effects.first, *parts, union_all(change, trashed), row=join_rows(resource.row, row_like(PutOutcome))
        )

    return RowStatement(build)


def write_is_free(tables: Sequence[Table], uid: str) -> str:
    """Return the SQL condition that no row of the user in these tables has a UID."""
    return " AND ".join(
        f"NOT EXISTS (SELECT FROM {table} WHERE {table}.user_id = :owner AND {table}.uid = {uid})" for table in tables
    )

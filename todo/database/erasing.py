"""Deletes all data of a user, in every table that has a ``user_id``: a new resource needs no code for it."""

from functools import cache
from typing import NamedTuple

from sqlalchemy import text

from todo.database.feeds import LOCK
from todo.database.statements import Statement, row_like
from todo.extensions import db


class Erased(NamedTuple):
    """The number of deleted rows of a table."""

    name: str
    number: int


@cache
def build_erase() -> Statement[Erased]:
    """Build the statement that deletes all rows of the owner, and returns their number for each table.

    The lock lets it see all that was written before. Cursors of the user expire, because the counter is deleted too.
    """
    tables = [table for table in db.metadata.tables.values() if "user_id" in table.c]
    deletes = ", ".join(f"{each.name} AS (DELETE FROM {each} WHERE user_id = :owner RETURNING 1)" for each in tables)
    counts = " UNION ALL ".join(f"SELECT '{each.name}' AS name, count(*) AS number FROM {each.name}" for each in tables)
    return Statement(LOCK, text(f"WITH {deletes} {counts}"), row=row_like(Erased))

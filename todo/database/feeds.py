"""The numbers of a user's writes, from which devices learn what has changed.

Each write takes the next number of its user, and stores it with its rows as ``change``. The number is taken in the
statement that writes, if that seems to write anything. The row of ``feeds`` stays locked until the commit, so numbers
are committed in their order: a reader that has seen a number never misses a smaller one.

This lock is always the first lock of a write. So the writes of a user form one line, and they cannot deadlock.
"""

from typing import cast
from uuid import UUID

from sqlalchemy import CTE, BigInteger, ColumnElement, PrimaryKeyConstraint, Table, Text, literal_column, select, text
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Mapped, mapped_column

from todo.database.resource import OWNER
from todo.extensions import Base

# Whether this transaction wrote a row.
WRITTEN_HERE = "xmin = pg_current_xact_id_if_assigned()::xid"


class Feed(Base):
    """The counter of a user. A cursor of the feed belongs to an epoch; ``floor`` is the last number that was purged."""

    __tablename__ = "feeds"
    __table_args__ = (PrimaryKeyConstraint("user_id"), {"info": {"changed": ["epoch", "change", "floor"]}})

    user_id: Mapped[str] = mapped_column(Text(collation="C"))
    epoch: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    change: Mapped[int] = mapped_column(BigInteger, server_default="0")
    floor: Mapped[int] = mapped_column(BigInteger, server_default="0")


def write_lock(source: str = "VALUES (:owner)") -> str:
    """Return the SQL that locks the counter of the user, if ``source`` has a row, and takes no number.

    A later part of the same statement sees what all others wrote for the user, and nobody else writes before it ends.
    """
    return (
        f"INSERT INTO todo.feeds AS feeds (user_id) {source} ON CONFLICT (user_id) DO UPDATE SET change = feeds.change"
    )


LOCK = text(write_lock())


def write_number(source: str = "") -> str:
    """Return the SQL of the CTE ``feed``, which takes a number if its query has a row.

    ``source`` is the end of this query: FROM and WHERE.
    """
    return (
        f"feed AS (INSERT INTO todo.feeds AS feeds (user_id, change) SELECT :owner, 1 {source}"
        " ON CONFLICT (user_id) DO UPDATE SET change = feeds.change + 1 RETURNING change)"
    )


def build_number(table: Table, *conditions: ColumnElement[bool]) -> Insert:
    """Build the statement that takes a number if the table has a row that meets the conditions."""
    feeds = cast(Table, Feed.__table__)
    found = select(OWNER, literal_column("1", BigInteger)).select_from(table).where(*conditions)
    insertion = insert(feeds).from_select(["user_id", "change"], found, include_defaults=False)
    return insertion.on_conflict_do_update(index_elements=["user_id"], set_={"change": feeds.c.change + 1})


def take_number(table: Table, *conditions: ColumnElement[bool]) -> CTE:
    """Return the CTE ``feed``, which takes a number if the table has a row that meets the conditions."""
    return build_number(table, *conditions).returning(Feed.change).cte("feed")


def find_number() -> CTE:
    """Return the CTE ``feed``, which has the number that an earlier part of this message took.

    It also has a row if that part only locked the counter. So the two parts need the same conditions.
    """
    table = cast(Table, Feed.__table__)
    return select(table.c.change).where(table.c.user_id == OWNER, text(f"{table}.{WRITTEN_HERE}")).cte("feed")

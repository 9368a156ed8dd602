"""Statements that create rows. All insert in one way: from a source of rows, with an SQL expression for each column."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import text

from todo.database.feeds import WRITTEN_HERE, write_lock, write_number
from todo.database.resource import Resource
from todo.database.statements import Statement, join_rows, row_like

M = TypeVar("M")

EXPIRED = (
    "SELECT ctid FROM todo.idempotency_keys WHERE user_id = :owner AND created_at < now() - interval '24 hours'"
    " ORDER BY created_at LIMIT 1"
)
# A key is kept for at least a day. Each request with a key deletes the user's two oldest, so old keys only get fewer.
# Two row addresses: the only plan that PostgreSQL never rates above a scan of all keys of the user, even if its
# statistics do not know that there are millions.
EXPIRY = (
    text(write_lock(f"SELECT :owner WHERE ({EXPIRED}) IS NOT NULL")),
    text(
        "DELETE FROM todo.idempotency_keys"
        f" WHERE user_id = :owner AND ctid = ANY(ARRAY[({EXPIRED}), ({EXPIRED} OFFSET 1)])"
    ),
)


class Claim(NamedTuple):
    """What is stored under an Idempotency-Key, and whether this statement stored it."""

    fingerprint: bytes
    is_new: bool


def build_create(resource: Resource[M], values: Mapping[str, str], *, limited: bool = False) -> Statement[M]:
    """Build the statement that creates a row and returns it; if ``limited``, none without room (see write_room)."""
    room, source = (f"{write_room(resource)}, ", "FROM existing WHERE has_room") if limited else ("", "")
    insert = write_insert(resource, values, "FROM feed")
    returning = write_columns(resource)
    return Statement(text(f"WITH {room}{write_number(source)} {insert} RETURNING {returning}"), row=resource.row)


def build_create_once(
    resource: Resource[M], values: Mapping[str, str], *, limited: bool = False
) -> Statement[tuple[M, Claim]]:
    """Build the statement that creates a row unless its ``key`` is in use, and returns the row of the key.

    If ``limited``, it creates and returns none if the key is new and there is no room (see write_room).

    Each part sees what was committed before it. If two requests use the same key, the second waits for the first, and
    its final SELECT sees the row of the first. The row is NULL if it was deleted. The lock of the counter comes before
    those of the keys, as in every write.
    """
    table = resource.table
    room, source = (f"{write_room(resource)}, ", "FROM existing WHERE has_room AND") if limited else ("", "WHERE")
    key = "SELECT FROM todo.idempotency_keys AS keys WHERE keys.user_id = :owner AND keys.key = :key"
    return Statement(
        *EXPIRY,
        text(
            f"""
            WITH {room} {write_number(f"{source} NOT EXISTS ({key})")}, claimed AS (
              INSERT INTO todo.idempotency_keys (user_id, key, fingerprint, task_id)
              SELECT :owner, :key, :fingerprint, nextval('{table}_id_seq') FROM feed
              ON CONFLICT DO NOTHING RETURNING task_id
            ) {write_insert(resource, {"id": "task_id", **values}, "FROM claimed, feed")} RETURNING id
            """
        ),
        # LATERAL with LIMIT, so that PostgreSQL never joins all rows of the user to the one key.
        text(
            f"""
            SELECT {write_columns(resource)}, keys.fingerprint, coalesce(keys.{WRITTEN_HERE}, false) AS is_new
            FROM todo.idempotency_keys AS keys
            LEFT JOIN LATERAL (
              SELECT * FROM {table} WHERE user_id = :owner AND id = keys.task_id LIMIT 1
            ) AS {table.name} ON true
            WHERE keys.user_id = :owner AND keys.key = :key
            """
        ),
        row=join_rows(resource.row, row_like(Claim)),
    )


def write_room(resource: Resource[Any], others: str = "0") -> str:
    """Return the SQL of ``existing``: whether a user has at most ``room`` rows, with ``others`` to come.

    It counts no more than one row beyond.

    Concurrent creations do not see each other, so each can find the last room. Materialized, so that Citus assigns the
    ID on its coordinator.
    """
    rows = f"SELECT FROM {resource.table} WHERE user_id = :owner LIMIT CAST(:room AS bigint) + 1"
    has_room = f"count(*) <= CAST(:room AS bigint) - {others} AS has_room"
    return f"existing AS MATERIALIZED (SELECT {has_room} FROM ({rows}) AS counted)"


def bind_new(user_id: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a statement that writes these columns: ``owner``, and ``new_…`` for each column."""
    return {f"new_{name}": value for name, value in columns.items()} | {"owner": user_id}


def write_insert(resource: Resource[Any], values: Mapping[str, str], source: str) -> str:
    """Return the SQL that inserts rows of the current user: the expression of each column, and where rows come from.

    ``feed`` is one of the sources, with the number of the write.
    """
    values = {"user_id": ":owner", **values, "change": "feed.change"}
    system = "OVERRIDING SYSTEM VALUE" if "id" in values else ""
    columns, expressions = ", ".join(values), ", ".join(values.values())
    return f"INSERT INTO {resource.table} ({columns}) {system} SELECT {expressions} {source}"


def write_columns(resource: Resource[Any]) -> str:
    """Return the SQL list of the columns of a row."""
    return ", ".join(f"{resource.table.name}.{column.name}" for column in resource.columns)

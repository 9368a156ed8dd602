"""The state of a batch, as SQL: the operations with the rows that they name, and why one is refused (batching.py)."""

from collections.abc import Mapping
from typing import Any

from todo.database.feeds import WRITTEN_HERE
from todo.database.resource import Resource
from todo.database.statements import NAMED
from todo.database.versions import write_version_of

KEYS = "todo.idempotency_keys"
# The members of an operation beside the columns: its position, "create", "update" or "delete", the ID or the UID of the
# row, the UID of a row that may follow it, the versions that it allows (NULL for any), and the columns that it sets.
MEMBERS = "n integer, op text, id bigint, uid uuid, next_uid uuid, allowed text[], names text[]"
OWN_KEY = f"{KEYS}.user_id = :owner AND {KEYS}.key = :key"


def write_state(
    resource: Resource[Any],
    trash: Resource[Any],
    given: list[str],
    changed: list[str],
    refused: Mapping[str, str],
    *,
    keyed: bool,
) -> str:
    """Return the SQL of ``state``: the operations, each with the row that it names, and why it is refused.

    LATERAL with LIMIT, so that PostgreSQL never joins all rows of the user.
    """
    table, names = resource.table, ", ".join(dict.fromkeys([*resource.row.names, *given, *changed]))
    stored = f"SELECT fingerprint, task_uids, {WRITTEN_HERE} AS is_new FROM {KEYS} WHERE {OWN_KEY}"
    claim = stored if keyed else "SELECT CAST(NULL AS bytea) AS fingerprint, true AS is_new"
    uid = "coalesce((SELECT task_uids FROM claim)[operation.n + 1], operation.uid)" if keyed else "operation.uid"
    columns = ", ".join(f"{name} {table.c[name].type.compile(NAMED)}" for name in given)
    rows = " UNION ALL ".join(
        f"(SELECT {names}, {WRITTEN_HERE} AS is_new FROM {table} WHERE {table}.user_id = :owner"
        f" AND {table}.{name} = input.{name} LIMIT 1)"
        for name in ("id", "uid")
    )
    differs = " OR ".join(
        f"('{name}' = ANY (input.names) AND found.{name} IS DISTINCT FROM input.{name})" for name in given
    )
    unfit = "".join(f" WHEN {sql} THEN '{name}'" for name, sql in refused.items())
    return f"""claim AS MATERIALIZED ({claim}), input AS MATERIALIZED (
      SELECT n, op, id, {uid} AS uid, next_uid, allowed, names, {", ".join(given)}
      FROM json_to_recordset(CAST(:operations AS json)) AS operation ({MEMBERS}, {columns})
    ), found AS MATERIALIZED (
      SELECT input.n, rows.* FROM input, LATERAL ({rows}) AS rows
    ), taken AS MATERIALIZED (
      SELECT input.n FROM input, LATERAL (
        SELECT id FROM {trash.table} WHERE {trash.table}.user_id = :owner AND {trash.table}.uid = input.uid LIMIT 1
      ) AS rows WHERE input.op = 'create'
    ), compared AS MATERIALIZED (
      SELECT input.*, found.id AS found_id, found.is_new, taken.n IS NOT NULL AS is_taken, {differs} AS differs,
        {write_version_of("found")} AS version, CASE{unfit} END AS unfit,
        count(*) OVER (PARTITION BY found.id ORDER BY input.n) > 1 AS is_repeated
      FROM input LEFT JOIN found ON found.n = input.n LEFT JOIN taken ON taken.n = input.n
    ), state AS MATERIALIZED (
      SELECT *, CASE
        WHEN op = 'create' THEN CASE WHEN is_taken OR NOT is_new THEN 'taken' END
        WHEN found_id IS NULL THEN 'missing'
        WHEN is_repeated THEN 'twice'
        WHEN NOT version = ANY (allowed) AND (op = 'delete' OR differs) THEN 'changed'
        WHEN op = 'update' THEN unfit
      END AS refusal FROM compared
    )"""

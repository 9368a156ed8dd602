"""The statement that creates many rows at once: imports and samples."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import text

from todo.database.creating import write_insert
from todo.database.feeds import LOCK, write_number
from todo.database.resource import Resource
from todo.database.statements import NAMED, Statement, row_like


class Created(NamedTuple):
    """The ID of a created row."""

    id: int


def build_create_many(resource: Resource[Any], trash: Resource[Any], values: Mapping[str, str]) -> Statement[Created]:
    """Build the statement that creates the rows of ``rows``, a JSON array, and returns their IDs.

    It creates nothing if the user has more than ``room`` rows, or unless ``add`` is true, has rows already. It counts
    at most ``counted`` rows. A row keeps its UID if the user has no other row with it. The lock lets the second of two
    concurrent statements see the rows of the first.
    """
    columns = ", ".join(f"{name} {resource.table.c[name].type.compile(NAMED)}" for name in (*values, "uid"))
    taken = " UNION ALL ".join(
        f"(SELECT uid FROM {each} WHERE {each}.user_id = :owner AND {each}.uid = input.uid LIMIT 1)"
        for each in (resource.table, trash.table)
    )
    uid = "CASE WHEN input.uid IS NULL OR taken.uid IS NOT NULL THEN gen_random_uuid() ELSE input.uid END"
    number = write_number("FROM existing WHERE (:add OR number = 0) AND number <= :room")
    return Statement(
        LOCK,
        # Materialized, so that Citus assigns the IDs on its coordinator.
        text(
            f"""
            WITH existing AS MATERIALIZED (
              SELECT count(*) AS number FROM (
                SELECT FROM {resource.table} WHERE user_id = :owner LIMIT :counted
              ) AS counted
            ), input AS MATERIALIZED (
              SELECT *, row_number() OVER () AS place
              FROM json_to_recordset(CAST(:rows AS json)) AS given ({columns})
            ), taken AS MATERIALIZED (
              SELECT stored.uid FROM input, LATERAL ({taken}) AS stored WHERE input.uid IS NOT NULL
            ), given AS MATERIALIZED (
              SELECT input.*, {uid} AS own_uid FROM input LEFT JOIN taken ON taken.uid = input.uid
            ), {number}
            {write_insert(resource, {**values, "uid": "own_uid"}, "FROM given, feed ORDER BY place")} RETURNING id
            """
        ),
        row=row_like(Created),
    )

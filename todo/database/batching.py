"""Batches of writes, all or none: one statement creates, changes and deletes rows of a user.

The first part locks the counter (feeds.py), so no other write of this user runs until the commit. The last two parts
therefore see the same rows and find the same refusals. One takes the number and creates rows. The other changes and
deletes rows, and returns all.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import text

from todo.database.batch_state import KEYS, OWN_KEY, write_state
from todo.database.changing import write_now
from todo.database.creating import EXPIRY, write_columns, write_insert, write_room
from todo.database.feeds import LOCK
from todo.database.resource import Resource
from todo.database.statements import Statement, join_rows, row_like
from todo.database.trashing import list_moved, write_expiry

M = TypeVar("M")

# UIDs tell which rows were created.
CLAIM = text(
    f"INSERT INTO {KEYS} (user_id, key, fingerprint, task_id, task_uids)"
    " VALUES (:owner, :key, :fingerprint, 0, CAST(:uids AS uuid[])) ON CONFLICT DO NOTHING"
)


class BatchEffects(NamedTuple):
    """What else a batch does, as SQL: CTEs that read ``state``.

    ``followers`` selects the rows to create beside those of "create", as ``columns`` and ``uid``; None for none, which
    costs less. ``changing`` has CTEs
    of the last part, which can read ``go``. ``refused`` has conditions by the refusal of a change. They compare the
    ``input``, the columns that it sets, with the row that was ``found``.
    """

    columns: Sequence[str]
    followers: str | None
    changing: Mapping[str, str]
    refused: Mapping[str, str]


class Step(NamedTuple):
    """What became of an operation: why it is refused, what is stored under the key, and whether the key is new."""

    refusal: str | None
    fingerprint: bytes | None
    is_new: bool


def build_batch(
    resource: Resource[M],
    trash: Resource[Any],
    new: Mapping[str, str],
    changed: Mapping[str, tuple[str, str]],
    effects: BatchEffects,
    *,
    keyed: bool,
    limited: bool,
) -> Statement[tuple[M, Step]]:
    """Build the statement that executes ``operations``, a JSON array (MEMBERS), and returns a row for each.

    ``new`` has the SQL of each column of a new row. ``changed`` has two texts for each column of a changed row: the
    name of the given column that it needs, and its SQL. If ``limited``, a batch that ``creates`` needs room (see
    write_room). If ``keyed``, a repetition under the same ``key`` writes nothing, and returns the rows as they are now.

    The row is NULL if it was deleted. A refusal is "missing", "twice" (another operation names the row), "taken" (the
    UID of a new row), "changed", "full" (there is no room), or of ``effects``. Nothing was written if there is one.
    """
    table, columns, names = resource.table, write_columns(resource), ", ".join(resource.row.names)
    given = list(dict.fromkeys(name for name, _ in changed.values()))
    state = write_state(resource, trash, given, [*changed, *effects.columns], effects.refused, keyed=keyed)
    created = {"uid": "state.uid", **new}
    sources = {"state WHERE op = 'create'": created}
    followers, followers_again, room, has_room, short = "", "", "", "", "false"
    if effects.followers is not None:
        sources["followers"] = {name: name if name in ("uid", *effects.columns) else "NULL" for name in created}
        followers = f"followers AS MATERIALIZED ({effects.followers}),"
    # The IDs are in the order of the operations.
    made = " UNION ALL ".join(
        f"SELECT {', '.join(f'{value} AS {name}' for name, value in values.items())}, n FROM {source}"
        for source, values in sources.items()
    )
    if limited and not followers:
        room, has_room = f"{write_room(resource)},", "AND (NOT :creates OR (SELECT has_room FROM existing))"
    elif limited:
        followers_again = followers
        room = f"{write_room(resource, '(SELECT count(*) FROM followers)')},"
        has_room = "AND (NOT (:creates OR EXISTS (SELECT FROM followers)) OR (SELECT has_room FROM existing))"
        short = f"""EXISTS (
          SELECT FROM followers WHERE NOT EXISTS (
            SELECT FROM {table} AS made WHERE made.user_id = :owner AND made.uid = followers.uid))"""
    changing = "".join(f"{name} AS ({sql}), " for name, sql in effects.changing.items())
    assignments = ", ".join(
        f"{column} = CASE WHEN '{name}' = ANY (state.names) THEN {value} ELSE {table}.{column} END"
        for column, (name, value) in changed.items()
    )
    moved = ", ".join(["user_id", *list_moved(resource)])
    # Citus executes the CTEs one after the other. So old rows leave the trash before others enter it, and the effects
    # read rows before they are updated.
    expiring, expiry = write_expiry(trash, limited=limited, condition="AND EXISTS (SELECT FROM go)")
    # A refused batch does not use up its key.
    unclaimed = f"""unclaimed AS (
        DELETE FROM {KEYS} WHERE {OWN_KEY} AND (SELECT is_new FROM claim) AND NOT EXISTS (SELECT FROM go)
        RETURNING key
    ),"""
    return Statement(
        LOCK,
        *((*EXPIRY, CLAIM) if keyed else ()),
        text(
            f"""
            WITH {state}, {followers} {room} feed AS (
              UPDATE todo.feeds SET change = todo.feeds.change + 1
              WHERE todo.feeds.user_id = :owner AND (SELECT is_new FROM claim) {has_room}
                AND NOT EXISTS (SELECT FROM state WHERE refusal IS NOT NULL)
                AND EXISTS (SELECT FROM state WHERE op <> 'update' OR differs)
              RETURNING change
            )
            {write_insert(resource, {name: name for name in created}, f"FROM ({made}) AS made, feed ORDER BY n")}
            RETURNING id
            """
        ),
        text(
            f"""
            WITH {state}, {followers_again} not_created AS MATERIALIZED (
              SELECT n FROM state WHERE (op = 'create' AND found_id IS NULL) OR {short}
            ), clock AS (SELECT statement_timestamp() AS now), go AS MATERIALIZED (
              SELECT change FROM todo.feeds WHERE todo.feeds.user_id = :owner AND (SELECT is_new FROM claim)
                AND NOT EXISTS (SELECT FROM state WHERE refusal IS NOT NULL) AND NOT EXISTS (SELECT FROM not_created)
            ), {expiring}, expired AS ({expiry} RETURNING id), {changing} updated AS (
              UPDATE {table} SET {assignments}, version = {table}.version + 1, updated_at = {write_now(table)},
                change = go.change
              FROM state, go, clock
              WHERE {table}.user_id = :owner AND {table}.id = state.found_id AND state.differs
                AND {table}.id = ANY (ARRAY(SELECT found_id FROM state WHERE differs))
              RETURNING {", ".join(f"{table}.{name}" for name in resource.row.names)}
            ), deleted AS (
              DELETE FROM {table} USING state, go
              WHERE {table}.user_id = :owner AND {table}.id = state.found_id AND state.op = 'delete'
                AND {table}.id = ANY (ARRAY(SELECT found_id FROM state WHERE op = 'delete'))
              RETURNING {table}.*, go.change AS number
            ), trashed AS (
              INSERT INTO {trash.table} ({moved}, change) SELECT {moved}, number FROM deleted RETURNING id
            ), {unclaimed if keyed else ""} shown AS (
              SELECT {names} FROM updated UNION SELECT {names} FROM found
              WHERE id NOT IN (SELECT id FROM updated UNION ALL SELECT id FROM deleted)
            )
            SELECT {columns},
              coalesce(state.refusal, CASE WHEN EXISTS (SELECT FROM not_created) THEN 'full' END) AS refusal,
              claim.fingerprint, claim.is_new
            FROM state CROSS JOIN claim LEFT JOIN shown AS {table.name} ON {table.name}.id = state.found_id
            ORDER BY state.n
            """
        ),
        row=join_rows(resource.row, row_like(Step)),
    )

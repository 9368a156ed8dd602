"""Makes IDs, versions and cursors new after a backup was restored, so that those given out since never come back.

Clients may still hold them. A restored sequence would give an ID to another row, and another change would reach the
same version. So both continue from the number of microseconds since 1970: nothing gives out IDs or versions faster than
that, also between two restores of one backup. The number stays exact in JavaScript until the year 2255.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

from sqlalchemy import Connection, text

from todo.database.audit import find_older_migration
from todo.database.isolation import administration
from todo.extensions import db

# Row security would hide all rows from a login that is not the owner; "off" turns that into an error.
SETTINGS = text(
    "SELECT pg_catalog.set_config(name, value, true) FROM (VALUES ('search_path', ''), ('row_security', 'off'),"
    " ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('synchronous_commit', 'on'))"
    " AS settings (name, value)"
)
PLACE = text("SELECT concat_ws(' at ', current_database(), host(inet_server_addr()))")
CLOCK = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")


# From the owner's ID and a secret, because Citus allows no random function here, and each user needs another epoch.
EPOCHS = (
    text(
        "INSERT INTO todo.feeds (user_id) SELECT user_id FROM todo.tasks UNION SELECT user_id FROM todo.trash"
        " ON CONFLICT DO NOTHING"
    ),
    text("UPDATE todo.feeds SET epoch = CAST(md5(CAST(:secret AS text) || user_id) AS uuid)"),
)


class NotRenewed(Exception):
    """Nothing was changed; the message says why, for the operator."""


@contextmanager
def renewing() -> Iterator[Connection]:
    """Give a transaction of the owner; raises NotRenewed if the database is not migrated."""
    with administration() as connection:
        connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            connection.execute(SETTINGS)
            if faults := find_older_migration(connection):
                raise NotRenewed(faults[0])
            yield connection


def renew(*, trust_clock: bool = False) -> Iterator[str]:
    """Renew the IDs and versions of every table with users, and the cursors, all or none; yields lines of progress.

    A new resource needs no code for it. Raises NotRenewed if the database is not migrated, or if its clock is behind
    its newest rows; ``trust_clock`` skips the rows' timestamps, which an import can set.
    """
    with renewing() as connection:
        yield f"In the database {connection.execute(PLACE).scalar_one()}:"
        clock = connection.execute(CLOCK).scalar_one()
        # The counters are locked first, as in every write (feeds.py).
        expired = renew_epochs(connection)
        for table in db.metadata.sorted_tables:
            if {"user_id", "id", "version"} <= set(table.c.keys()):
                yield from renew_table(connection, str(table), clock, trust_clock=trust_clock)
        yield expired


def renew_feeds() -> str:
    """Make all cursors of the change feed expire, and return a line of progress; raises NotRenewed."""
    with renewing() as connection:
        return renew_epochs(connection)


def renew_epochs(connection: Connection) -> str:
    """Give each user's counter a new epoch, and return a line of progress."""
    add, change = EPOCHS
    connection.execute(add)
    number = connection.execute(change, {"secret": token_hex()}).rowcount
    return f"todo.feeds: the cursors of {number:,} users have expired."


def renew_table(connection: Connection, table: str, clock: int, *, trust_clock: bool) -> Iterator[str]:
    """Move the sequence, if there is one, and all versions of a table to ``clock``."""
    sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table}).scalar_one()
    number, latest, newest = connection.execute(
        text(f"SELECT count(*), greatest(max(id), max(version), 0), max(updated_at) > clock_timestamp() FROM {table}")
    ).one()
    last_id = 0 if sequence is None else connection.execute(text(f"SELECT last_value FROM {sequence}")).scalar_one()
    if max(latest, last_id) >= clock or (newest and not trust_clock):
        raise NotRenewed(
            f"The clock of the database is behind the newest rows of {table}. Set the clock, and try again"
            + (" (or pass --trust-clock, if these rows were imported with dates in the future)" if newest else "")
        )
    yield f"{table}: renewing {number:,} versions."
    if sequence is not None:
        connection.execute(text("SELECT setval(:sequence, :clock)"), {"sequence": sequence, "clock": clock})
    connection.execute(text(f"UPDATE {table} SET version = :clock"), {"clock": clock})
    yield f"{table}: {'IDs and versions' if sequence else 'versions'} continue from {clock}."

"""Runs migrations: one process at a time, only in the schema ``todo``, and in one transaction unless one commits."""

from time import monotonic, sleep

from alembic import context
from click import ClickException, echo
from flask import current_app
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from todo.database.isolation import administration
from todo.extensions import SCHEMA
from todo.logs.causes import describe, describe_unreachable

# The advisory lock of all migrating processes: "todo" in ASCII, so that other programs do not use the same key.
LOCK_KEY = int.from_bytes(b"todo", "big")
# How long to wait for a lock on a table, in milliseconds. Writes to the table wait behind us. PostgreSQL cancels a
# blocking autovacuum after deadlock_timeout (1 s by default), so the limit is a little longer.
LOCK_TIMEOUT = text(
    "SELECT set_config('lock_timeout', (setting::integer + 500)::text, true)"
    " FROM pg_settings WHERE name = 'deadlock_timeout'"
)
# Between two tries, the waiting writes can run.
PAUSE_SECONDS = 2
PATIENCE_SECONDS = 60

if context.is_offline_mode():
    raise ClickException(
        "flask db upgrade --sql is not supported: the migrations read from the database which roles exist"
    )

migrate = current_app.extensions["migrate"]


def run() -> None:
    """Take the advisory lock and migrate."""
    with administration() as guard, administration() as connection:
        # The engine uses autocommit, for requests. With it, a failing migration would leave its first steps behind.
        for each in (guard, connection):
            each.execution_options(isolation_level="READ COMMITTED")
        # A transaction holds the lock, because session locks do not work through PgBouncer. It is a transaction of its
        # own, because some migrations commit. We poll, because a waiting statement would hold a snapshot, and CREATE
        # INDEX CONCURRENTLY in the other process would wait for that snapshot.
        while not guard.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK_KEY}).scalar():
            guard.rollback()
            sleep(0.2)
        guard.execute(text("SELECT set_config('idle_in_transaction_session_timeout', '0', true)"))
        migrate_when_free(connection)


def migrate_when_free(connection: Connection) -> None:
    """Migrate the schema. If a table is in use, try again for up to PATIENCE_SECONDS."""
    started = monotonic()
    while True:
        try:
            return migrate_schema(connection)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable) or monotonic() - started > PATIENCE_SECONDS:
                raise
        echo("A table is in use. Trying again.", err=True)
        sleep(PAUSE_SECONDS)


def migrate_schema(connection: Connection) -> None:
    """Create the schema and run the migrations that the database lacks."""
    context.configure(
        connection=connection,
        target_metadata=migrate.db.metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        # The database may contain tables of other programs.
        include_name=lambda name, kind, parents: kind != "schema" or name == SCHEMA,
        **migrate.configure_args,
    )
    with context.begin_transaction():
        connection.execute(LOCK_TIMEOUT)
        if connection.execute(text("SHOW server_encoding")).scalar() != "UTF8":
            raise ClickException("The database's encoding must be UTF8, to store text in any language")
        if connection.execute(text("SELECT to_regnamespace(:schema)"), {"schema": SCHEMA}).scalar() is None:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        if newer := find_newer_migration():
            echo(f"The database is at migration {newer} of a newer release. There is nothing to do.", err=True)
            return
        context.run_migrations()
        echo(f"The database is at migration {context.get_context().get_current_revision()}.", err=True)


def find_newer_migration() -> str | None:
    """Return the database's migration if it is newer than this release; None if not, or if a target is given.

    So a platform that runs ``flask db upgrade`` before each start can roll back to an older release.
    """
    script, current = context.script, context.get_context().get_current_revision()
    to_the_last = context.get_context().opts.get("destination_rev") in {"head", "heads"}
    known = {each.revision for each in script.walk_revisions()}
    return current if to_the_last and current is not None and current not in known else None


try:
    run()
except SQLAlchemyError as error:
    stopped = (
        f"The migration failed: {describe(error)}. Committed steps are kept. "
        "Fix the cause and run flask db upgrade again"
    )
    raise ClickException(describe_unreachable(error) or stopped) from None

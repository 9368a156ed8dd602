"""How migrations run: one process at a time, in our schema only, and in one transaction but for those that commit."""

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

# The same for every process, different from other programs': "todo" in ASCII.
LOCK_KEY = int.from_bytes(b"todo", "big")
# How long to wait for a table in use, in milliseconds: writes on it queue behind us meanwhile. Not before
# deadlock_timeout, a second by default, does PostgreSQL end an autovacuum that is in the way.
LOCK_TIMEOUT = text(
    "SELECT set_config('lock_timeout', (setting::integer + 500)::text, true)"
    " FROM pg_settings WHERE name = 'deadlock_timeout'"
)
# Between two tries the writes that queued behind us go first.
PAUSE_SECONDS = 2
PATIENCE_SECONDS = 60

if context.is_offline_mode():
    raise ClickException("flask db upgrade --sql is not supported: these migrations look at the roles that exist")

migrate = current_app.extensions["migrate"]


def run() -> None:
    """Take the lock, make the schema, migrate: all or nothing, but for the migrations that say otherwise."""
    with administration() as guard, administration() as connection:
        # The engine's autocommit is for requests: here it would leave a failing migration half done.
        for each in (guard, connection):
            each.execution_options(isolation_level="READ COMMITTED")
        # The lock is a transaction's, since a session's would not work through PgBouncer, and a transaction of its
        # own, since some migrations commit. Who waits for it asks again and again: a statement that waits would
        # hold a snapshot, for whose end an index that is built concurrently waits in turn.
        while not guard.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK_KEY}).scalar():
            guard.rollback()
            sleep(0.2)
        guard.execute(text("SELECT set_config('idle_in_transaction_session_timeout', '0', true)"))
        migrate_when_free(connection)


def migrate_when_free(connection: Connection) -> None:
    """Migrate the schema, if need be in several tries: somebody may be at a table for long."""
    started = monotonic()
    while True:
        try:
            return migrate_schema(connection)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable) or monotonic() - started > PATIENCE_SECONDS:
                raise
        echo("A table is in use: trying again.", err=True)
        sleep(PAUSE_SECONDS)


def migrate_schema(connection: Connection) -> None:
    """Run the migrations that the database has not had; the lock is held."""
    context.configure(
        connection=connection,
        target_metadata=migrate.db.metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        # Of a database that may be shared, our schema and nothing else.
        include_name=lambda name, kind, parents: kind != "schema" or name == SCHEMA,
        **migrate.configure_args,
    )
    with context.begin_transaction():
        connection.execute(LOCK_TIMEOUT)
        if connection.execute(text("SHOW server_encoding")).scalar() != "UTF8":
            raise ClickException("The database's encoding must be UTF8, to hold text in any language")
        if connection.execute(text("SELECT to_regnamespace(:schema)"), {"schema": SCHEMA}).scalar() is None:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        if newer := find_newer_migration():
            echo(f"The database is at migration {newer}, of a later release: there is nothing to do.", err=True)
            return
        context.run_migrations()
        echo(f"The database is at migration {context.get_context().get_current_revision()}.", err=True)


def find_newer_migration() -> str | None:
    """Return the database's migration if this release does not know it, when asked to upgrade to the last; else None.

    So that a release can be rolled back by whatever migrates before it serves: a container's platform, say.
    """
    script, current = context.script, context.get_context().get_current_revision()
    to_the_last = context.get_context().opts.get("destination_rev") in {"head", "heads"}
    known = {each.revision for each in script.walk_revisions()}
    return current if to_the_last and current is not None and current not in known else None


try:
    run()
except SQLAlchemyError as error:
    stopped = (
        f"The migration stopped: {describe(error)}. Committed steps are kept. "
        "Solve the cause, and run flask db upgrade again"
    )
    raise ClickException(describe_unreachable(error) or stopped) from None

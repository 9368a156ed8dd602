"""Runs migrations: one process at a time, only in the schema ``todo``, and in one transaction unless one commits."""

from time import monotonic, sleep
from typing import Any

from alembic import context
from click import ClickException, echo
from flask import current_app
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from todo.database.blockers import Watch, describe_blockers, find_blockers
from todo.database.isolation import administration
from todo.extensions import SCHEMA, db
from todo.logs.causes import describe, describe_unreachable

# The advisory lock of all migrating processes: "todo" in ASCII, so that other programs do not use the same key.
LOCK_KEY = int.from_bytes(b"todo", "big")
# The settings of each transaction. No function of another role is called, and no default of the role ends a migration.
# How long to wait for a lock on a table, in milliseconds: writes to the table wait behind us. PostgreSQL cancels a
# blocking autovacuum after deadlock_timeout (1 s by default), so the limit is a little longer.
SETTINGS = (
    "SELECT pg_catalog.set_config(name, value, true) FROM (VALUES ('search_path', ''), ('statement_timeout', '0'),"
    " ('idle_in_transaction_session_timeout', '0')) AS settings (name, value)"
    " UNION ALL SELECT pg_catalog.set_config('lock_timeout', (setting::integer + 500)::text, true)"
    " FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'"
    " UNION ALL SELECT pg_catalog.set_config(name, '0', true)"
    " FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'"  # since PostgreSQL 17
)
# Between two tries, the waiting writes can run.
PAUSE_SECONDS = 2
PATIENCE_SECONDS = 60
# The same for steps that block no requests while they wait: CREATE INDEX CONCURRENTLY, another migration.
LONG_PATIENCE_SECONDS = 600

if context.is_offline_mode():
    raise ClickException(
        "flask db upgrade --sql is not supported: the migrations read from the database which roles exist"
    )

migrate = current_app.extensions["migrate"]


def run() -> None:
    """Take the advisory lock and migrate."""
    # The pool has only two connections if the service has one thread.
    engine = create_engine(db.engine.url, pool=db.engine.pool.recreate(), isolation_level="AUTOCOMMIT")
    with administration() as guard, administration() as connection, engine.connect() as observer:
        # The engine uses autocommit, for requests. With it, a failing migration would leave its first steps behind.
        for each in (guard, connection):
            each.execution_options(isolation_level="READ COMMITTED")
            event.listen(each, "begin", prepare_transaction)
        event.listen(connection, "before_cursor_execute", prepare_statement, retval=True)
        watch = Watch(observer, tell_waiting, LONG_PATIENCE_SECONDS)
        event.listen(connection, "begin", watch.find_session)
        take_lock(guard)
        with watch.running():
            migrate_when_free(connection, watch)


def take_lock(guard: Connection) -> None:
    """Take the advisory lock, or wait for the migration that has it.

    A transaction holds the lock, because session locks do not work through PgBouncer. It is a transaction of its own,
    because some migrations commit. We poll, because a waiting statement would hold a snapshot, and CREATE INDEX
    CONCURRENTLY in the other process would wait for that snapshot.
    """
    started, is_told = monotonic(), False
    while not guard.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK_KEY}).scalar():
        holder = describe_blockers(find_blockers(guard, key=LOCK_KEY))
        guard.rollback()
        if not is_told:
            echo(f"Another migration runs in {holder}. Waiting for up to {LONG_PATIENCE_SECONDS} s.", err=True)
            is_told = True
        if monotonic() - started > LONG_PATIENCE_SECONDS:
            raise ClickException(f"Another migration still runs in {holder}. Run flask db upgrade again later.")
        sleep(0.2)
    guard.execute(text("SELECT set_config('application_name', 'flask db upgrade', true)"))


def tell_waiting(sessions: str) -> None:
    """Tell which sessions the migration waits for, and for how long it will."""
    echo(
        f"Waiting for a lock of {sessions}. The migration gives up after {PATIENCE_SECONDS} s, "
        f"or after {LONG_PATIENCE_SECONDS} s in a step that blocks no requests.",
        err=True,
    )


def prepare_transaction(connection: Connection) -> None:
    """Set the settings of a transaction: SQLAlchemy's event at its beginning."""
    connection.exec_driver_sql(SETTINGS)


def prepare_statement(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> tuple[str, Any]:
    """Set the settings of a statement outside a transaction: SQLAlchemy's event before a statement is sent.

    CREATE INDEX CONCURRENTLY must be sent alone, so its timeout is set for the session.
    """
    if not cursor.connection.autocommit:
        return statement, parameters
    if "CONCURRENTLY" not in statement:
        return f"{SETTINGS}; {statement}", parameters
    cursor.execute("SET statement_timeout = 0")
    return statement, parameters


def migrate_when_free(connection: Connection, watch: Watch) -> None:
    """Migrate the schema. If a table is in use, try again for up to PATIENCE_SECONDS."""
    started = monotonic()
    while True:
        try:
            return migrate_schema(connection)
        except OperationalError as error:
            is_locked = isinstance(error.orig, LockNotAvailable)
            if watch.gave_up or (is_locked and monotonic() - started > PATIENCE_SECONDS):
                raise ClickException(
                    f"Gave up waiting for a lock of {describe_blockers(watch.blockers)}. Committed steps are kept. "
                    "End that session, or run flask db upgrade again when it has ended."
                ) from None
            if not is_locked:
                raise
        remaining = max(0, started + PATIENCE_SECONDS - monotonic())
        echo(f"A table is in use. Trying again for {remaining:.0f} s.", err=True)
        sleep(PAUSE_SECONDS)


def migrate_schema(connection: Connection) -> None:
    """Create the schema and run the migrations that the database lacks."""
    # Autogenerate leaves out the login's default schema. On the embedded PostgreSQL, that is ours: both are "todo".
    connection.dialect.default_schema_name = ""
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

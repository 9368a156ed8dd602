"""How migrations run: all of them in one transaction, one process at a time, and in our schema only."""

from alembic import context
from click import ClickException, echo
from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from todo.extensions import SCHEMA
from todo.isolation import administration
from todo.problems import describe

# The same for every process, different from other programs': "todo" in ASCII.
LOCK_KEY = int.from_bytes(b"todo", "big")
# How long to wait for a table in use; later queries on it queue behind us meanwhile.
LOCK_TIMEOUT = "5s"

if context.is_offline_mode():
    raise ClickException("flask db upgrade --sql is not supported: these migrations look at the roles that exist")

migrate = current_app.extensions["migrate"]


def run() -> None:
    """Take the lock, make the schema, migrate, all or nothing."""
    with administration() as connection:
        # The engine's autocommit is for requests: here it would leave a failing migration half done.
        connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            # Of the transaction, not the session, so that it works through PgBouncer too.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            connection.execute(text("SELECT set_config('lock_timeout', :timeout, true)"), {"timeout": LOCK_TIMEOUT})
            if connection.execute(text("SHOW server_encoding")).scalar() != "UTF8":
                raise ClickException("The database's encoding must be UTF8, to hold text in any language")
            if connection.execute(text("SELECT to_regnamespace(:schema)"), {"schema": SCHEMA}).scalar() is None:
                connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            context.configure(
                connection=connection,
                target_metadata=migrate.db.metadata,
                version_table_schema=SCHEMA,
                **migrate.configure_args,
            )
            context.run_migrations()
            echo(f"The database is at migration {context.get_context().get_current_revision()}.", err=True)


try:
    run()
except OperationalError as error:
    raise ClickException(f"Nothing was migrated: {describe(error)}") from None

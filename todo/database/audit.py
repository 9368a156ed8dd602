"""The audit behind /readyz: the database has what the code needs, and separates users."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import current_app
from psycopg2.errors import InvalidSchemaName, UndefinedTable
from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from config import ROOT
from todo.database.isolation import Isolation, fetch
from todo.database.statements import Statement
from todo.extensions import SCHEMA, current_settings, db
from todo.logs.causes import describe

# Before each query: the schemas of the login's search path are noted, and not used. Requests may have changed the path
# of the session. The rules of row security are compared as texts, so their form is set.
PREPARE = (
    "SELECT pg_catalog.set_config('search_path', (SELECT reset_val FROM pg_catalog.pg_settings"
    " WHERE name OPERATOR(pg_catalog.=) 'search_path'), true),"
    " pg_catalog.set_config('todo.search_path', pg_catalog.current_schemas(false)::pg_catalog.text, true),"
    " pg_catalog.set_config('search_path', '', true), pg_catalog.set_config('quote_all_identifiers', 'off', true); "
)
MISFITS, BREACHES = (
    text(PREPARE + (Path(__file__).parent / name).read_text()) for name in ("misfits.sql", "breaches.sql")
)

# Tables, and whether Citus distributes them: then it has given them this trigger.
DISTRIBUTED = text(
    f"{PREPARE} SELECT c.relname, EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE t.tgrelid = c.oid AND p.proname = 'citus_truncate_trigger')"
    " FROM pg_class c WHERE c.relnamespace = to_regnamespace('todo') AND c.relkind IN ('r', 'p')"
    " AND c.relname = ANY(:tables)"
)


def find_faults(connection: Connection) -> list[str]:
    """Return a sentence for each fault of the database; empty if the service can use it. For operators only."""
    return find_missing_migrations(connection) + find_breaches(connection) + find_misplaced_tables(connection)


def find_missing_migrations(connection: Connection) -> list[str]:
    """Return what the code lacks in the database; empty if the database is as new as the code, or newer.

    A later release can have added migrations that this code does not know: during a rollout, and after a rollback
    (docs/deploy.md). So the columns and rights are compared, not only the number of the migration.
    """
    return find_older_migration(connection) or find_misfits(connection)


def find_older_migration(connection: Connection) -> list[str]:
    """Return a sentence if the database is at an older migration than the code, or cannot be read."""
    try:
        version = connection.execute(text(f"SELECT version_num FROM {SCHEMA}.alembic_version")).scalar()
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable | InvalidSchemaName):
            return [describe(error)]
        version = None
    if version is None or version in known_migrations()[1:]:
        return [f"the database is at migration {version}, the code at {newest_migration()}: run flask db upgrade"]
    return []


def newest_migration() -> str:
    """Return the last migration that the code knows."""
    return known_migrations()[0]


@cache
def known_migrations() -> tuple[str, ...]:
    """Return the migrations that the code knows, newest first."""
    configuration = Config()
    configuration.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
    return tuple(each.revision for each in ScriptDirectory.from_config(configuration).walk_revisions())


def find_misfits(connection: Connection) -> list[str]:
    """Return what the code does not find in the database: columns, rights, unused IDs."""
    columns = [column for table in db.metadata.tables.values() for column in table.columns]
    # A resource notes which columns its statements change (resource.py).
    changed = [(table.name, name) for table in db.metadata.tables.values() for name in table.info.get("changed", [])]
    names = {
        "tables": [column.table.name for column in columns],
        "columns": [column.name for column in columns],
        "changed_tables": [table for table, _ in changed],
        "changed_columns": [column for _, column in changed],
    }
    return list(connection.execute(MISFITS, names).scalars())


def find_breaches(connection: Connection) -> list[str]:
    """Return what keeps the database from separating users."""
    isolation: Isolation = current_app.extensions["isolation"]
    return list(connection.execute(BREACHES, {"may_log_in": isolation.role_may_log_in}).scalars())


def find_misplaced_tables(connection: Connection) -> list[str]:
    """Return the tables that are distributed but should not be, or that are not distributed like the others."""
    names = [table.name for table in list_tables()]
    tables: dict[str, bool] = dict(map(tuple, connection.execute(DISTRIBUTED, {"tables": names})))
    expected = current_settings().citus == "on" and any(tables.values())
    reason = "not distributed by Citus like other tables" if expected else "distributed by Citus, but CITUS is off"
    return [f"{SCHEMA}.{name} is {reason}" for name, is_distributed in tables.items() if is_distributed != expected]


def find_unreachable_shards() -> list[str]:
    """Return what keeps a shard of Citus from serving users, as a list with one sentence; empty without Citus.

    A count over all rows asks every shard, as the role of users, over one connection to each worker. Row security
    leaves no rows, since the user is nobody. The time is bounded like that of any statement.
    """
    if current_settings().citus == "off":
        return []
    counts = [select(func.count()).select_from(table) for table in list_tables()]
    try:
        fetch("", Statement(text("SELECT set_config('citus.max_adaptive_executor_pool_size', '1', true)"), *counts), {})
    except DBAPIError as error:
        return [f"a shard does not serve users: {describe(error)}"]
    return []


def list_tables() -> list[Table]:
    """Return the tables of users."""
    return [table for table in db.metadata.tables.values() if "user_id" in table.c]

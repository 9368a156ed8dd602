"""Is the process up, and can it serve? Neither needs a token."""

import logging
from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Blueprint, Response, current_app
from psycopg2.errors import InvalidSchemaName, UndefinedTable
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable

from config import ROOT
from todo.database.isolation import Isolation, watched_administration
from todo.database.statements import ROLE
from todo.extensions import SCHEMA, db
from todo.logs.causes import describe
from todo.tasks.columns import STAMPED, WRITTEN
from todo.web.problems import RETRY_AFTER_SECONDS
from todo.web.responses import reply

log = logging.getLogger(__name__)

health = Blueprint("health", __name__)


@health.get("/healthz")
def report_alive() -> Response:
    """The process answers. Touches no database: a suspended one shall not be woken."""
    return reply({"status": "ok"})


@health.get("/readyz")
def report_ready() -> Response:
    """The database is reachable and migrated, and keeps users apart; else 503, and the log says what is missing."""
    try:
        with watched_administration() as connection:
            missing = find_missing_migrations(connection) + find_breaches(connection)
    except SQLAlchemyError as error:
        missing = [describe(error)]
    if missing:
        log.warning("Not ready: %s", "; ".join(missing))
        raise ServiceUnavailable("The service is not ready; its log says why.", retry_after=RETRY_AFTER_SECONDS)
    return reply({"status": "ready"})


def find_missing_migrations(connection: Connection) -> list[str]:
    """Return, in words, what the code still wants of the database; nothing if it is as new as the code, or newer.

    A migration that the code does not know is a later release's: for as long as that one is rolled out, and after it is
    rolled back, this one serves too (docs/deploy.md). Whether it still can is looked at, not believed.
    """
    try:
        version = connection.execute(text(f"SELECT version_num FROM {SCHEMA}.alembic_version")).scalar()
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable | InvalidSchemaName):
            return [describe(error)]
        version = None
    if version is None or version in known_migrations()[1:]:
        return [f"the database is at migration {version}, the code at {newest_migration()}: run flask db upgrade"]
    return find_misfits(connection)


def newest_migration() -> str:
    """Return the last migration that the code knows."""
    return known_migrations()[0]


@cache
def known_migrations() -> tuple[str, ...]:
    """Return the migrations that the code knows, the newest first."""
    configuration = Config()
    configuration.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
    return tuple(each.revision for each in ScriptDirectory.from_config(configuration).walk_revisions())


def find_misfits(connection: Connection) -> list[str]:
    """Return, in words, what the code would not find in the database; nothing if it can work with what is there."""
    columns = [column for table in db.metadata.tables.values() for column in table.columns]
    names = {
        "tables": [column.table.name for column in columns],
        "columns": [column.name for column in columns],
        "changed": [*WRITTEN, *STAMPED],
    }
    return list(connection.execute(MISFITS, names).scalars())


def find_breaches(connection: Connection) -> list[str]:
    """Return, in words, what stops the database from keeping users apart; nothing if it does. For operators only."""
    isolation: Isolation = current_app.extensions["isolation"]
    return list(connection.execute(BREACHES, {"may_log_in": isolation.role_may_log_in}).scalars())


# What the code must find in the database to work, with a sentence for each thing that it would not.
MISFITS = text(
    f"""
    WITH known AS (SELECT * FROM unnest(CAST(:tables AS text[]), CAST(:columns AS text[])) AS known (relname, attname)),
      stored AS (
        SELECT c.relname, a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS wanted
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = to_regnamespace('{SCHEMA}') AND c.relkind IN ('r', 'p'))
    SELECT format('{SCHEMA}.%I.%I is not there: is this release too old for the database?', relname, attname)
      FROM (SELECT * FROM known EXCEPT SELECT relname, attname FROM stored) AS gone
    UNION ALL
    SELECT format('{SCHEMA}.%I.%I must be given: is this release too old for the database?', relname, attname)
      FROM (SELECT relname, attname FROM stored WHERE wanted EXCEPT SELECT * FROM known) AS new
      WHERE relname IN (SELECT relname FROM known)
    UNION ALL
    SELECT format('{ROLE} may not %s: was a backup restored without its rights?', deed)
      FROM pg_roles r,
      LATERAL (
        SELECT 'use the schema {SCHEMA}' AS deed,
               has_schema_privilege(r.oid, to_regnamespace('{SCHEMA}'), 'USAGE') AS may
        UNION ALL
        SELECT format('%s in {SCHEMA}.%I', need, c.relname), has_table_privilege(r.oid, c.oid, need)
          FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) AS need
          WHERE c.relnamespace = to_regnamespace('{SCHEMA}') AND c.relname IN (SELECT relname FROM known)
        UNION ALL
        SELECT format('UPDATE {SCHEMA}.tasks.%I', attname), has_column_privilege(r.oid, attrelid, attnum, 'UPDATE')
          FROM pg_attribute
          WHERE attrelid = to_regclass('{SCHEMA}.tasks') AND attname = ANY (:changed)
        UNION ALL
        SELECT 'use {SCHEMA}.tasks_id_seq', has_sequence_privilege(r.oid, to_regclass('{SCHEMA}.tasks_id_seq'), 'USAGE')
      ) AS needed
      WHERE r.rolname = '{ROLE}' AND NOT may
    """
)

# What must be true for the database to keep users apart, with a sentence for each thing that is wrong.
# `current_user` is whoever the service logs in as: it must be able to become the role.
BREACHES = text(
    f"""
    SELECT 'there is no role {ROLE}' AS breach
      WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}')
    UNION ALL
    SELECT 'role {ROLE} is above row security' FROM pg_roles
      WHERE rolname = '{ROLE}' AND (rolsuper OR rolbypassrls OR rolcanlogin AND NOT :may_log_in)
    UNION ALL
    SELECT format('%I may not become {ROLE}', current_user) FROM pg_roles
      WHERE rolname = '{ROLE}' AND NOT pg_has_role(oid,
        CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
    UNION ALL
    SELECT format('%I.%I is not bound to its users by row security', n.nspname, c.relname)
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
      WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p')
        AND NOT (c.relrowsecurity
          -- A part of a divided table needs none: without one, nobody sees anything there.
          AND (c.relispartition OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
          AND NOT EXISTS (
            SELECT FROM pg_policy p, pg_roles r,
              unnest(ARRAY[pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)]) AS rule
            WHERE p.polrelid = c.oid AND p.polpermissive AND r.rolname = '{ROLE}'
              AND EXISTS (SELECT FROM unnest(p.polroles) AS whom WHERE whom = 0 OR pg_has_role(r.oid, whom, 'MEMBER'))
              AND rule NOT LIKE '(user_id = current_setting(''todo.user_id''%')
          AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = c.relowner AND r.rolname = '{ROLE}'))
    UNION ALL
    SELECT format('{ROLE} may truncate %I.%I, which row security does not bind', n.nspname, c.relname)
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_roles r ON r.rolname = '{ROLE}'
      WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p') AND has_table_privilege(r.oid, c.oid, 'TRUNCATE')
    UNION ALL
    SELECT format('%I.%I is a view that opens its owner''s rows to {ROLE}', n.nspname, c.relname)
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_roles r ON r.rolname = '{ROLE}'
      WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('v', 'm')
        AND (has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
          OR has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE'))
        AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o
          WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
    UNION ALL
    SELECT format('{ROLE} may change %I.%I.%I', n.nspname, c.relname, a.attname)
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('user_id', 'id') AND NOT a.attisdropped
      JOIN pg_roles r ON r.rolname = '{ROLE}'
      WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p')
        AND has_column_privilege(r.oid, c.oid, a.attnum, 'UPDATE')
    """
)

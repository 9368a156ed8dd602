"""Every statement runs as the user it is for, and the database itself keeps users apart.

psycopg2 sends a string of several statements as one message, which PostgreSQL runs as one implicit
transaction. So on an autocommit connection this, in one round trip,

    SELECT set_config('role', 'todo_app', true), set_config('todo.user_id', …, true), …; UPDATE …

runs the UPDATE as ``todo_app``, a role that owns nothing and that row security binds, and afterwards
role and settings are back: nothing leaks through a pool, PgBouncer's transaction mode included.

A statement that says neither whose it is nor that it administers raises before it is sent. What this
stops is the forgotten filter. Injected SQL could set the role back: values are bound, never formatted;
and raw DBAPI cursors, which no event sees, are out of bounds.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Executable, RowMapping, event, text

from todo.extensions import SCHEMA, db

ROLE = "todo_app"
STATEMENT_TIMEOUT_MS = 5000

# The time zone too: answers are in UTC whatever the server's or the role's default is.
PREFIX = (
    f"SELECT set_config('role', '{ROLE}', true),"
    " set_config('todo.user_id', %(todo_user_id)s, true),"
    f" set_config('statement_timeout', '{STATEMENT_TIMEOUT_MS}', true),"
    " set_config('timezone', 'UTC', true); "
)


class NoUserError(RuntimeError):
    """A statement was about to be sent without saying for which user."""


def fetch(user_id: str, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[RowMapping]:
    """Run one statement as that user, in one round trip, committed when this returns.

    Takes the owner first, always; gives the rows. Raises SQLAlchemy's DBAPIError.
    """
    with db.engine.connect() as connection:
        result = connection.execute(statement, values, execution_options={"user_id": user_id})
        return result.mappings().all()


@contextmanager
def administration() -> Iterator[Connection]:
    """A bare connection, for what no user asks for: migrations, readiness, the command line."""
    with db.engine.connect() as connection:
        yield connection.execution_options(administers=True)


def guard(engine: Engine) -> None:
    """Put every statement of this engine behind the prefix, or refuse it."""
    event.listen(engine, "before_cursor_execute", _become_user, retval=True)


def _become_user(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> tuple[str, Any]:
    options = context.execution_options if context else connection.get_execution_options()
    user_id = options.get("user_id")
    if user_id is None:
        if options.get("administers"):
            return statement, parameters
        raise NoUserError(
            "A statement was sent without a user: use isolation.fetch(user_id, …), or isolation.administration()"
        )
    if executemany or not isinstance(parameters, dict):
        raise NoUserError("For a user, send one statement with named parameters")
    return PREFIX + statement, {**parameters, "todo_user_id": user_id}


# What must be true for the database to keep users apart, as (what is wrong, rows that prove it).
# `current_user` is whoever the service logs in as: it must be able to become the role.
_BREACHES = text(
    f"""
    SELECT 'there is no role {ROLE}' AS breach
      WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}')
    UNION ALL
    SELECT 'role {ROLE} is above row security' FROM pg_roles
      WHERE rolname = '{ROLE}' AND (rolsuper OR rolbypassrls OR rolcanlogin)
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
          AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
          AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive
            AND pg_get_expr(coalesce(p.polqual, p.polwithcheck), c.oid)
              NOT LIKE '(user_id = current_setting(''todo.user_id''%')
          AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = c.relowner AND r.rolname = '{ROLE}'))
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


def find_breaches(connection: Connection) -> list[str]:
    """What keeps the database from keeping users apart, in words; nothing if it does. For operators only."""
    return list(connection.execute(_BREACHES).scalars())

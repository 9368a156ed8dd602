"""Messages to PostgreSQL: the settings of a user, and a statement. Each is a transaction, with which the settings end.

On a direct connection, both are prepared statements, so PostgreSQL parses and plans each once per connection. That is a
third to a half of its work for a request. Behind a pooler, connections of the server change with each message, so both
are sent as text.
"""

from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from sqlalchemy import text

from todo.database.statements import Statement

ROLE = "todo_app"
# The settings of each statement.
SETTINGS = {
    "role": f"'{ROLE}'",
    "todo.user_id": ":todo_user_id",
    "statement_timeout": ":todo_statement_timeout",
    "lock_timeout": ":todo_lock_timeout",
}
# Nothing that a promise rests on is left to the settings of the server, the database or the login. All names in this
# module are qualified, because the search path is theirs until the first statement has run.
CONSTANTS = {
    "search_path": "''",  # No functions and operators of other roles.
    "row_security": "'on'",  # With "off", row security refuses every statement.
    # A commit waits for the disk. Stronger values than "on" remain.
    "synchronous_commit": "CASE WHEN pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'"
    " THEN 'on' ELSE pg_catalog.current_setting('synchronous_commit') END",
    "default_transaction_isolation": "'read committed'",
    "jit": "'off'",  # Statements are small: compiling one costs more than it saves.
    "timezone": "'UTC'",
    "datestyle": "'ISO'",
}
# Citus sends SET LOCAL to the shards, but neither set_config() nor the settings of a message that holds the statement.
# Inside DO, SET LOCAL is a statement of its own. Its text is constant, so no value of a user is ever in its quotes.
PROPAGATED = ("todo.user_id", "statement_timeout", "lock_timeout")
PROPAGATION = (
    f"DO $$ DECLARE name text; BEGIN FOREACH name IN ARRAY ARRAY{list(PROPAGATED)} LOOP"
    " EXECUTE pg_catalog.format('SET LOCAL %%s = %%L', name, pg_catalog.current_setting(name)); END LOOP; END $$"
)
# A backend keeps the plans of its prepared statements in its memory.
MAX_PREPARED = 100
OF_POOLER = (InvalidSqlStatementName, DuplicatePreparedStatement)
# Changes wait for each other, and then see each other. This is possible only before the first query.
ISOLATION_LEVEL = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"


def write_settings(settings: Mapping[str, str], *, local: bool = True) -> str:
    """Return the query that makes settings for the transaction, or for the session."""
    return "SELECT " + ", ".join(
        f"pg_catalog.set_config('{name}', {value}, {str(local).lower()})" for name, value in settings.items()
    )


PREFIX: Statement[Any] = Statement(text(write_settings(SETTINGS)))
# Nobody else uses a direct connection, so constant settings are made once.
START = f"{ISOLATION_LEVEL}; DEALLOCATE ALL; {write_settings(CONSTANTS, local=False)}; {PREFIX.preparation}"
TEXT_PREFIX = f"{ISOLATION_LEVEL}; {Statement(text(write_settings(SETTINGS | CONSTANTS))).text}"
CITUS_SETTINGS = {"citus.propagate_set_commands": "'local'", **SETTINGS, **CONSTANTS}
# The first command keeps Citus from sending the second one, and with it the whole message, to the shards.
CITUS_PREFIX = (
    f"SET LOCAL citus.propagate_set_commands = 'none'; {ISOLATION_LEVEL};"
    f" {Statement(text(write_settings(CITUS_SETTINGS))).text}; {PROPAGATION}"
)


class Messages:
    """Writes the message of each statement, and keeps in mind which statements each connection has prepared."""

    def __init__(self, *, citus: bool) -> None:
        self._prefix = CITUS_PREFIX if citus else TEXT_PREFIX
        # Whether prepared statements cannot be used; None until the first connection tells.
        self.is_text: bool | None = citus or None

    def write(self, statement: Statement[Any], cursor: Any, state: dict[str, Any]) -> str:
        """Return the message that runs a statement, with psycopg2's parameters, for a connection with this state.

        The first message of a process takes another round trip, which tells whether there is a pooler.
        """
        if self.is_text is None:
            self.is_text = is_pooled(cursor)
        if self.is_text:
            return f"{self._prefix}; {statement.text}"
        prepared: set[str] = state.setdefault("prepared", set())
        if statement.name in prepared:
            return f"{PREFIX.execution}; {statement.execution}"
        start = ""
        if not 0 < len(prepared) < MAX_PREPARED:
            prepared.clear()
            start = f"{START}; "
        prepared.add(statement.name)
        # Prepared as the role: otherwise PostgreSQL would plan the statement again, with the role's row security.
        return f"{start}{PREFIX.execution}; {statement.preparation}; {statement.execution}"

    def note_error(self, error: psycopg2.Error, state: dict[str, Any]) -> None:
        """Prepare everything again on this connection, since the error may come before or after a PREPARE.

        A prepared statement that is missing, or there already, is a sign of a pooler that was not recognized.
        """
        state.pop("prepared", None)
        self.is_text = self.is_text or isinstance(error, OF_POOLER)


def is_pooled(cursor: Any) -> bool:
    """Return whether there is a pooler between this process and PostgreSQL.

    A pooler tells each client a process ID of its own, because the client cancels a statement by this ID.
    """
    cursor.execute("SELECT pg_catalog.pg_backend_pid()")
    [(process_id,)] = cursor.fetchall()
    return bool(process_id != cursor.connection.info.backend_pid)

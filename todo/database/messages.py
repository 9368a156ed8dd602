"""Messages to PostgreSQL: the settings of a user, and a statement. Each is a transaction, which ends these settings.

On a direct connection, both are prepared statements, so PostgreSQL parses and plans each once per connection: that is a
third to a half of its work for a request. Settings that do not depend on the user are made once. Behind a pooler,
messages of a connection reach different connections of the server. So everything is sent as text.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from psycopg2.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName
from psycopg2.extensions import register_type
from sqlalchemy import text

from todo.database.statements import TIME, UID, Statement

log = logging.getLogger(__name__)

T = TypeVar("T")
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
    # A commit waits for the disk. Only "off" is replaced.
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
# A prepared statement is missing, or exists already: there is a pooler that was not recognized.
SIGNS_OF_POOLER = (InvalidSqlStatementName, DuplicatePreparedStatement)
# After these errors of prepared statements, it helps to send the statement again. A column may have another type now.
CURABLE = (*SIGNS_OF_POOLER, FeatureNotSupported)
# Neon connects clients one to one, or through a pooler with another name, but shows no process ID of the server.
NEON_DIRECT = re.compile(r"(?![^.]*-pooler\.).*\.neon\.tech")
# Changes wait for each other, and then see each other. This is possible only before the first query.
ISOLATION_LEVEL = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"


def write_settings(settings: Mapping[str, str], *, local: bool = True) -> str:
    """Return the query that makes settings for the transaction, or for the session."""
    return "SELECT " + ", ".join(
        f"pg_catalog.set_config('{name}', {value}, {str(local).lower()})" for name, value in settings.items()
    )


USER_SETTINGS: Statement[Any] = Statement(text(write_settings(SETTINGS)))
# Nobody else uses a direct connection, so constant settings are made once.
FIRST = f"{ISOLATION_LEVEL}; DEALLOCATE ALL; {write_settings(CONSTANTS, local=False)}; {USER_SETTINGS.preparation}; "
TEXT_PREFIX = f"{ISOLATION_LEVEL}; {Statement(text(write_settings(SETTINGS | CONSTANTS))).text}"
CITUS_SETTINGS = {"citus.propagate_set_commands": "'local'", **SETTINGS, **CONSTANTS}
# The first command keeps Citus from sending the second one, and with it the whole message, to the shards.
CITUS_PREFIX = (
    f"SET LOCAL citus.propagate_set_commands = 'none'; {ISOLATION_LEVEL};"
    f" {Statement(text(write_settings(CITUS_SETTINGS))).text}; {PROPAGATION}"
)


class Messages:
    """Sends the messages of a process."""

    def __init__(self, *, citus: bool) -> None:
        self._text_prefix = CITUS_PREFIX if citus else TEXT_PREFIX
        # Whether statements are sent as text; None until the first connection tells whether there is a pooler.
        self.is_text = True if citus else None

    def run(self, cursor: Any, state: dict[str, Any], statement: Statement[T], values: Mapping[str, Any]) -> list[T]:
        """Run a statement and return its rows; ``state`` is kept with the connection for as long as it lasts.

        The first use on a connection also prepares the statement, in the same message. Only the first message of a
        process takes another round trip.
        """
        register_type(TIME, cursor)
        register_type(UID, cursor)
        if self.is_text is None:
            self.is_text = is_pooled(cursor)
        if self.is_text:
            cursor.execute(f"{self._text_prefix}; {statement.text}", values)
        else:
            self._run_prepared(cursor, state.setdefault("prepared", set()), statement, values)
        return statement.read_rows(cursor)

    def _run_prepared(
        self, cursor: Any, prepared: set[str], statement: Statement[T], values: Mapping[str, Any]
    ) -> None:
        message = f"{USER_SETTINGS.execution}; {statement.execution}"
        is_new = statement.name not in prepared
        if is_new:
            # Prepared as the role: otherwise PostgreSQL would plan the statement again, with the role's row security.
            message = f"{USER_SETTINGS.execution}; {statement.preparation}; {statement.execution}"
            if len(prepared) in {0, MAX_PREPARED}:
                prepared.clear()
                message = FIRST + message
        try:
            cursor.execute(message, values)
        except BaseException as error:
            if is_new or isinstance(error, CURABLE):
                prepared.clear()  # It is not known what was prepared before the error.
            if isinstance(error, SIGNS_OF_POOLER):
                self.is_text = True
                log.warning(
                    "There seems to be a pooler in front of PostgreSQL, so statements are not prepared any more"
                )
            raise
        prepared.add(statement.name)


def is_pooled(cursor: Any) -> bool:
    """Return whether messages of this connection may reach different connections of the server.

    A pooler tells each client a process ID of its own, because the client cancels a statement by this ID.
    """
    client = cursor.connection.info
    if NEON_DIRECT.fullmatch(client.host or ""):
        return False
    cursor.execute("SELECT pg_catalog.pg_backend_pid()")
    [(process_id,)] = cursor.fetchall()
    return bool(process_id != client.backend_pid)

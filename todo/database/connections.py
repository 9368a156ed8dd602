"""Connections of the pool: how they are taken, checked before use, and given up when they are lost."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidRequestError

from config import Settings
from todo import signals
from todo.database.opening import is_dead
from todo.database.watchdog import Watchdog

# SQLSTATEs after which a connection is of no use, although it may still be open: the server is a reader since a
# failover (25006), is stopping or starting (57P), or a proxy lost it (08).
# https://www.postgresql.org/docs/current/errcodes-appendix.html
UNUSABLE = ("08", "57P", "25006")
# A connection that is younger is not replaced after these errors: a replica refuses every write.
YOUNG_SECONDS = 1
# Connections that were idle for longer are replaced: firewalls drop them silently, the strictest after 4 minutes.
IDLE_SECONDS = 200


class Connections:
    """The connections of an engine's pool. A dead one is replaced before use, and a lost one never goes back."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.watchdog = Watchdog()
        # From the pool: SQLAlchemy's Connection costs three times as much as psycopg2 itself. Metrics wrap it.
        self.take: Callable[[], Any] = engine.raw_connection
        # On Citus, errors of a worker have these SQLSTATEs too.
        self._unusable = UNUSABLE if settings.citus == "off" else ("25006",)
        self._lost_at = 0.0
        self.answered_at = 0.0  # by the monotonic clock, when the last statement succeeded
        event.listen(engine, "checkout", self.refuse_dead)
        event.listen(engine, "handle_error", self.note_error)

    @contextmanager
    def use(self, statement: str, deadline: float) -> Iterator[Any]:
        """Give a connection for a statement. A server that does not respond before ``deadline`` loses it.

        Raises SQLAlchemy's DBAPIError, with the text of the statement, for every error of psycopg2: if the connection
        was lost, ``connection_invalidated`` is true. Raises its TimeoutError if no connection is free in time.
        """
        connection: Any = None
        lost = False
        try:
            connection = self._connect()
            with self.watchdog.watch(connection.fileno(), deadline):
                yield connection
            self.answered_at = time.monotonic()
        except psycopg2.Error as error:
            lost = connection is not None and self._note_loss(connection, error)
            raise DBAPIError.instance(
                statement, None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=lost
            ) from error
        finally:
            if connection is not None:
                # A closed connection, or one inside a transaction, must not go back to the pool.
                if lost or connection.dbapi_connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
                    connection.invalidate()
                connection.close()

    def _connect(self) -> Any:
        """Take a connection from the pool; raises psycopg2.Error."""
        try:
            return self.take()
        except InvalidRequestError as error:  # Two new connections in a row were closed before their first use.
            raise psycopg2.OperationalError("Connections are closed as soon as they are made") from error

    def _note_loss(self, connection: Any, error: psycopg2.Error) -> bool:
        """Return whether the connection is lost. If so, all connections that are as old are replaced before use."""
        opened_at = connection.info["opened_at"]
        old = time.monotonic() - opened_at > YOUNG_SECONDS
        if not (connection.dbapi_connection.closed or (old and str(error.pgcode).startswith(self._unusable))):
            return False
        if opened_at >= self._lost_at:
            self._lost_at = time.monotonic()
        signals.connection_lost.send()
        return True

    def note_error(self, context: Any) -> None:
        """Do the same for a connection that was lost in administration: SQLAlchemy's event of an error.

        SQLAlchemy itself compares the system's time, so it would replace connections without end after a step back.
        """
        if context.is_disconnect:
            context.invalidate_pool_on_disconnect = False
            self._lost_at = time.monotonic()

    def refuse_dead(self, connection: Any, record: Any, proxy: Any) -> None:
        """Raise DisconnectionError for a dead connection: SQLAlchemy's checkout event.

        This costs no round trip. After one connection was lost in use, for example by a failover, all older connections
        are replaced when they are needed: they may be dead without a sign.
        """
        now, info = time.monotonic(), record.info
        is_old = info.setdefault("opened_at", now) < self._lost_at or now - info.get("used_at", now) > IDLE_SECONDS
        if is_old or is_dead(connection):
            raise DisconnectionError("The connection was closed while it was idle")
        info["used_at"] = now

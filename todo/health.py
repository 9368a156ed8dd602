"""Is the process up, and can it serve? Neither needs a token."""

from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Blueprint, Response
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable

from config import ROOT
from todo import problems
from todo.endpoints import reply
from todo.extensions import SCHEMA
from todo.isolation import administration, find_breaches

health = Blueprint("health", __name__)


@health.get("/healthz")
def report_alive() -> Response:
    """The process answers. Touches no database: a suspended one shall not be woken."""
    return reply({"status": "ok"})


@health.get("/readyz")
def report_ready() -> Response:
    """The database is reachable and migrated, and keeps users apart; else 503, and the log says what is missing."""
    try:
        with administration() as connection:
            missing = find_missing_migrations(connection) + find_breaches(connection)
    except SQLAlchemyError as error:
        missing = [problems.describe(error)]
    if not missing:
        return reply({"status": "ready"})
    problems.log.warning("request %s: not ready: %s", problems.request_id(), "; ".join(missing))
    return problems.answer(ServiceUnavailable("The service is not ready.", retry_after=problems.RETRY_AFTER_SECONDS))


def find_missing_migrations(connection: Connection) -> list[str]:
    """In words, how the database's version differs from the code's; nothing if it does not."""
    try:
        version = connection.execute(text(f"SELECT version_num FROM {SCHEMA}.alembic_version")).scalar()
    except ProgrammingError:
        version = None
    if version == newest_migration():
        return []
    return [f"the database is at migration {version}, the code at {newest_migration()}: run flask db upgrade"]


@cache
def newest_migration() -> str | None:
    """The last migration that the code knows."""
    configuration = Config()
    configuration.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
    return ScriptDirectory.from_config(configuration).get_current_head()

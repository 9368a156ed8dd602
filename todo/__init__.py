"""A task backend for many users: one round trip per request, and a database that keeps users apart."""

from flask import Blueprint

from config import ROOT, Settings
from todo import cli, health, rate_limit, slots
from todo.auth import hook
from todo.database import engine
from todo.database.engine import LocalDatabase
from todo.extensions import db, migrate
from todo.openapi import document
from todo.openapi.page import explorer
from todo.tasks.batch import batch
from todo.tasks.calendar import calendar
from todo.tasks.changes import changes
from todo.tasks.routes import tasks
from todo.tasks.trash import trash
from todo.web import headers, problems, requests
from todo.web.application import Application, check_path_user, take_path_user


def create_app(settings: Settings, local_database: LocalDatabase | None = None) -> Application:
    """Build the application; opens no connection.

    ``local_database`` is used if the settings have no database URL.
    """
    app = Application(__name__, fixed=("batch", "calendar.ics", "changes"))
    app.extensions["settings"] = settings

    engine.init_app(app, settings, local_database)
    migrate.init_app(app, db, directory=str(ROOT / "migrations"))
    hook.init_app(app, settings)
    rate_limit.init_app(app, settings)
    slots.init_app(app, settings)
    problems.init_app(app)
    headers.init_app(app, settings)
    requests.init_app(app)

    api = Blueprint("api", __name__, url_prefix="/api")
    api.url_value_preprocessor(take_path_user)
    api.before_request(hook.authenticate)
    api.before_request(rate_limit.count_request)
    api.before_request(slots.take_slot)
    api.before_request(check_path_user)
    # Two spellings. If a user ID is "tasks" or "trash", begins with "/" or ends in "/tasks", only the short path works.
    for part in (tasks, batch, calendar, changes, trash):
        path = "trash" if part is trash else "tasks"
        api.register_blueprint(part, url_prefix=f"/{path}")
        api.register_blueprint(part, url_prefix=f"/<path:user_id>/{path}", name=f"{part.name}_of_user")
    app.register_blueprint(api)
    app.register_blueprint(health.health)
    app.register_blueprint(explorer)
    document.init_app(app, settings)
    cli.init_app(app, settings, local_database)
    return app

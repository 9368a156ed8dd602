"""A task backend for many users: one round trip per request, and a database that keeps users apart."""

from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from config import ROOT, Settings
from todo import cli, health, rate_limit
from todo.auth import hook
from todo.database import engine
from todo.extensions import db, migrate
from todo.logs import requests
from todo.openapi import document
from todo.openapi.page import explorer
from todo.tasks.routes import tasks
from todo.web import headers, problems
from todo.web.middleware import strip_trailing_slash


def create_app(settings: Settings) -> Flask:
    """Build the application from its settings; touches neither the database nor the network.

    Raises SettingError when there is no database to use.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # Else /api//tasks is redirected, which breaks a preflighted call.
    app.wsgi_app = strip_trailing_slash(app.wsgi_app)  # type: ignore[method-assign, assignment]
    # Trust X-Forwarded-Host, -Proto and -Prefix from anybody: they only shape links in the sender's own answer.
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=0, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]

    engine.init_app(app, settings)
    migrate.init_app(app, db, directory=str(ROOT / "migrations"))
    hook.init_app(app, settings)
    rate_limit.init_app(app, settings)
    problems.init_app(app)
    headers.init_app(app, settings)
    requests.init_app(app)

    api = Blueprint("api", __name__, url_prefix="/api")
    api.before_request(hook.authenticate)
    api.before_request(rate_limit.count_request)
    api.register_blueprint(tasks, url_prefix="/tasks", settings=settings)
    api.register_blueprint(tasks, url_prefix="/<path:user_id>/tasks", name="tasks_of_user", settings=settings)
    app.register_blueprint(api)
    app.register_blueprint(health.health)
    app.register_blueprint(explorer)
    document.init_app(app)
    cli.init_app(app, settings)
    return app

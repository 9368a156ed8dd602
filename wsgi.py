"""Where the environment and the application meet: ``gunicorn wsgi:app``, ``flask db upgrade``."""

from config import Settings, environment
from todo import create_app

app = create_app(Settings.read(environment()))

"""The application for ``gunicorn wsgi:app`` and ``flask db upgrade``."""

from config import find_local_database, read_settings
from todo import create_app

settings = read_settings()
app = create_app(settings, find_local_database(settings))

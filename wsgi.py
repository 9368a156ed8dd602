"""Where the environment and the application meet: ``gunicorn wsgi:app``, ``flask db upgrade``."""

from config import read_settings
from todo import create_app

app = create_app(read_settings())

"""The application for ``gunicorn wsgi:app`` and ``flask db upgrade``."""

import sys
from dataclasses import replace
from importlib import import_module

from config import ROOT, find_local_database, read_settings
from todo import create_app
from todo.arguments import OWNERS_COMMANDS, find_command

if "gunicorn" in sys.modules and "server.hooks" not in sys.modules:
    # Without its settings, it would listen at another address, with workers that one slow client blocks.
    raise import_module("gunicorn.errors").AppImportError(
        f"Error: gunicorn has not read gunicorn.conf.py, since it does not run in {ROOT}: "
        f"start it there, or add --config={ROOT}/gunicorn.conf.py"
    )

settings = read_settings()
if settings.migration_database_url and find_command(sys.argv) in OWNERS_COMMANDS:
    settings = replace(settings, database_url=settings.migration_database_url)
app = create_app(settings, find_local_database(settings))

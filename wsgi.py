"""The application for ``gunicorn wsgi:app`` and ``flask db upgrade``."""

import sys
from dataclasses import replace
from importlib import import_module
from itertools import pairwise

from config import ROOT, find_local_database, read_settings
from todo import create_app

if "gunicorn" in sys.modules and "server.hooks" not in sys.modules:
    # Without its settings, it would listen at another address, with workers that one slow client blocks.
    raise import_module("gunicorn.errors").AppImportError(
        f"Error: gunicorn has not read gunicorn.conf.py, since it does not run in {ROOT}: "
        f"start it there, or add --config={ROOT}/gunicorn.conf.py"
    )

settings = read_settings()
# The command of flask: the first argument that is neither an option nor the value of one.
command = next(
    (
        each
        for before, each in pairwise(sys.argv)
        if not each.startswith("-") and before not in {"--app", "-A", "--env-file", "-e"}
    ),
    None,
)
# These commands need the owner of the tables.
if settings.migration_database_url and "flask" in sys.argv[0] and command in {"db", "after-restore"}:
    settings = replace(settings, database_url=settings.migration_database_url)
app = create_app(settings, find_local_database(settings))

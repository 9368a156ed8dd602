"""How the service is served. Gunicorn reads this file by itself when it is started in this folder."""

import os
import sys
from typing import Any

from config import SettingError, Settings, environment
from todo.cli import format_first_call
from todo.database import POOL_SIZE, find_embedded

try:
    settings = Settings.read(environment())
    embedded = None if settings.database_url else find_embedded()
except SettingError as error:
    # Here and not in a worker: gunicorn would start those again and again.
    sys.exit(f"Error: {error}")

# `make run` says this: somebody tries the service on their own machine.
trying_out = bool(os.environ.get("TRYING_OUT"))

bind = f"{'127.0.0.1' if trying_out else '0.0.0.0'}:{settings.port}"  # noqa: S104 - a container's port is reached from outside it
workers = settings.web_concurrency
# Threads keep connections alive between requests, which the sync worker does not; one database connection each.
worker_class = "gthread"
threads = POOL_SIZE
# A socket in the home directory through which any process of the user could steer this one: not needed.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """The embedded PostgreSQL runs as long as the master does, also while workers are replaced."""
    if embedded is not None:
        embedded.start()
        server.log.warning("Using the embedded PostgreSQL in %s (set NEON_DB_URL for another).", embedded.home)


def on_exit(server: Any) -> None:
    """When the service has stopped, so has the embedded PostgreSQL."""
    if embedded is not None:
        embedded.close()


def when_ready(server: Any) -> None:
    """Who tries the service gets a line to paste; nobody else's terminal shows a token."""
    if trying_out:
        print(f"\nCreate a task:\n\n{format_first_call(settings)}\n", flush=True)

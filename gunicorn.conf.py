"""How the service is served. Gunicorn reads this file by itself when it is started in this folder."""

import os
import signal
import socket
import sys
from typing import Any

from config import SettingError, Settings, environment
from todo.cli import format_first_call
from todo.database import make_embedded

try:
    settings = Settings.read(environment())
    embedded = None if settings.database_url else make_embedded()
except SettingError as error:
    # Here and not in a worker: gunicorn would start those again and again.
    sys.exit(f"Error: {error}")

# `make run` says this: somebody tries the service on their own machine.
trying_out = bool(os.environ.get("TRYING_OUT"))
if trying_out:
    try:
        socket.create_server(("127.0.0.1", settings.port)).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        sys.exit(f"Error: port {settings.port} cannot be used ({reason}); try another: PORT=8001 make run")

bind = f"{'127.0.0.1' if trying_out else '0.0.0.0'}:{settings.port}"  # noqa: S104 - a container's port is reached from outside it
workers = settings.web_concurrency
# Threads keep connections alive between requests, which the sync worker does not; one database connection each.
worker_class = "todo.serving.Worker"
threads = settings.threads
# Longer than proxies keep an idle connection (nginx: 60 s): they are to close it, not we while they send a request.
keepalive = 75
# For each worker; with its other files below the 1024 that a process may have open by default.
worker_connections = 900
# A worker whose loop does not turn for so long is replaced; one that stops lets requests finish for as long.
timeout = graceful_timeout = settings.worker_seconds
# By default a client on this machine may say what the path's prefix is.
forwarder_headers = ""
# As much as a header may have: queries with filters, search and cursor are long.
limit_request_line = 8190
# A socket in the home directory through which any process of the user could steer this one: not needed.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """The embedded PostgreSQL runs as long as the master does, also while workers are replaced."""
    server.embedded = embedded  # A reload reads this file anew, and would forget it.
    if embedded is not None:
        embedded.start()
        server.log.warning("Using the embedded PostgreSQL in %s (set NEON_DB_URL for another).", embedded.home.path)


def post_worker_init(worker: Any) -> None:
    """Stop a worker in order on Ctrl-C too.

    Gunicorn's own handler shuts the thread pool down from within the signal, and can wait for a lock that the
    interrupted code holds (seen as a stop that took 30 s).
    """
    for signum in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, worker.handle_exit)


def on_exit(server: Any) -> None:
    """When the service has stopped, so has the embedded PostgreSQL."""
    if server.embedded is not None:
        server.embedded.close()


def when_ready(server: Any) -> None:
    """With `make run`, print a line to paste; never otherwise, since it holds a token."""
    if trying_out:
        # To close the terminal is to stop; elsewhere this signal means: read the settings again.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        print(f"\nCreate a task:\n\n{format_first_call(settings)}\n", flush=True)

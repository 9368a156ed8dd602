"""How the service is served. Gunicorn reads this file by itself when it is started in this folder."""

import os
import signal
import socket
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import psycopg2

from config import SettingError, find_local_database, read_settings
from server.logger import Logger
from todo.cli import format_first_call

try:
    settings = read_settings()
    embedded = find_local_database(settings)
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
worker_class = "server.worker.Worker"
threads = settings.threads
# Longer than proxies keep an idle connection (nginx: 60 s): they are to close it, not we while they send a request.
keepalive = 75
# For each worker; with its other files below the 1024 that a process may have open by default.
worker_connections = 900
# A worker whose loop does not turn for so long is replaced; one that stops lets requests finish for as long.
timeout = settings.worker_seconds
# The worker gives up first, and says what it cut off.
graceful_timeout = settings.worker_seconds + 1
Logger.settings = settings
logger_class = Logger
# By default a client on this machine may say what the path's prefix is.
forwarder_headers = ""
# As much as a header may have: queries with filters, search and cursor are long.
limit_request_line = 8190
# The kernel would send files for as long as a client takes; what we send is bounded (server/worker.py).
sendfile = False
# A socket in the home directory through which any process of the user could steer this one: not needed.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """The embedded PostgreSQL runs as long as the master does, also while workers are replaced; so do the metrics."""
    # A reload reads this file anew, and would forget them.
    server.embedded, server.metrics = embedded, open_metrics()
    survive_reloads(server)
    if embedded is not None:
        try:
            embedded.start()
        except psycopg2.OperationalError as error:
            sys.exit(f"Error: {error}")
        server.log.warning("Using the embedded PostgreSQL in %s (set NEON_DB_URL for another).", embedded.home.path)


def survive_reloads(server: Any) -> None:
    """Let a reload (SIGHUP) bring new code, and one whose settings cannot be read change nothing.

    It runs this file again in the process of which every worker is a copy. Gunicorn itself would give the workers the
    code that is there already, and end if the file does. The packages stay as they are until a restart.
    """
    reload = server.reload

    def reload_or_go_on() -> None:
        cfg, release = server.app.cfg, forget_release()
        try:
            reload()
        except SystemExit as error:
            if os.getpid() != server.pid:
                raise  # A worker, which was made by the reload, has come to its end.
            server.app.cfg = cfg
            forget_release()
            sys.modules.update(release)
            server.log.error("Not reloaded, and going on as before: %s", error)  # noqa: TRY400 - it says all

    server.reload = reload_or_go_on


def forget_release() -> dict[str, ModuleType]:
    """Take our code out of what Python has loaded, and return it."""
    ours = [name for name in sys.modules if name.partition(".")[0] in {"config", "embedded", "server", "todo"}]
    return {name: sys.modules.pop(name) for name in ours}


def on_reload(server: Any) -> None:
    """Let the log follow the settings, whose secrets it masks: gunicorn keeps the logger that it has."""
    server.log.settings = settings
    server.log.setup(server.cfg)


def open_metrics() -> Any:
    """Take the port of metrics, if there are to be any: only then is their package needed."""
    if settings.metrics_port is None:
        return None
    try:
        return import_module("server.metrics").Exposition(settings.metrics_host, settings.metrics_port)
    except OSError as error:
        sys.exit(f"Error: METRICS_PORT {settings.metrics_port} cannot be used ({os.strerror(error.errno or 0)})")


def pre_fork(server: Any, worker: Any) -> None:
    """Say where the worker's metrics go."""
    if server.metrics:
        server.metrics.give_place(worker, server.WORKERS.values())


def child_exit(server: Any, worker: Any) -> None:
    """Take what a dead worker was doing out of the metrics."""
    if server.metrics:
        server.metrics.take_place(worker)


def post_worker_init(worker: Any) -> None:
    """Count what the worker does, and stop it in order on Ctrl-C too.

    Gunicorn's own handler shuts the thread pool down from within the signal, and can wait for a lock that the
    interrupted code holds (seen as a stop that took 30 s).
    """
    for signum in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, worker.handle_exit)
    worker.cfg.set("graceful_timeout", settings.worker_seconds)
    if hasattr(worker, "place"):
        import_module("server.metrics").start(worker, worker.wsgi)


def on_exit(server: Any) -> None:
    """When the service has stopped, so has the embedded PostgreSQL."""
    if server.embedded is not None:
        server.embedded.close()
    if server.metrics is not None:
        server.metrics.close()


def when_ready(server: Any) -> None:
    """With `make run`, print a line to paste; never otherwise, since it holds a token."""
    if trying_out:
        # To close the terminal is to stop; elsewhere this signal means: read the settings again.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        print(f"\nCreate a task:\n\n{format_first_call(settings)}\n", flush=True)
        print(f"Or see what there is, and try it: http://localhost:{settings.port}/api/docs\n", flush=True)

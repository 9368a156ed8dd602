"""gunicorn's hooks: gunicorn.conf.py imports them, and gunicorn calls them by their names.

The embedded PostgreSQL and the metrics belong to the master process and outlive the workers. They are attributes of
gunicorn's server object, because a reload imports this module again and would lose its variables.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import psycopg2

from config import environment, find_local_database, list_risks, list_unused, read_settings
from server.reload import NOT_RELOADED, find_release, unload_release

settings = read_settings()
embedded = find_local_database(settings)

# Set by `make run`: the service is tried out on the user's own machine. The image has no code for it.
trying_out = bool(os.environ.get("TRYING_OUT")) and find_spec("bootstrap") is not None


def find_address() -> str:
    """Return the address to listen at, as gunicorn takes it: by default all of IPv4, and with `make run` this machine.

    A socket of ``::`` accepts IPv4 too.
    """
    host = settings.host or ("127.0.0.1" if trying_out else "0.0.0.0")  # noqa: S104 - for other machines
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"


def on_starting(server: Any) -> None:
    """Start the embedded PostgreSQL and open the metrics port, before there are workers; `make run` migrates too."""
    for sentence in (*list_unused(settings, environment()), *list_risks(settings)):
        server.log.warning("%s", sentence)
    survive_failed_reloads(server)
    server.embedded, server.metrics = embedded, open_metrics()
    if trying_out:
        import_module("server.trial").prepare(settings, embedded)
    elif embedded is not None:
        try:
            embedded.start()
        except psycopg2.OperationalError as error:
            sys.exit(f"Error: {error}")
        server.log.warning("Using the embedded PostgreSQL in %s (set NEON_DB_URL for another).", embedded.home.path)


def survive_failed_reloads(server: Any) -> None:
    """Keep serving if gunicorn cannot finish a reload: a mistake in gunicorn.conf.py, or a new port that is in use.

    gunicorn exits then, and has no hook around a reload. So its method is wrapped. When gunicorn is updated, check that
    Arbiter.reload still raises SystemExit, and that the workers still have the listeners of before.
    """
    reload = server.reload

    def reload_or_stay() -> None:
        cfg, release = server.app.cfg, find_release()
        try:
            reload()
        except SystemExit as error:
            if os.getpid() != server.pid:
                raise  # A worker of the reload has ended.
            server.app.cfg = cfg
            unload_release()
            sys.modules.update(release)
            server.log.error("%s: gunicorn stopped with %s", NOT_RELOADED, error)  # noqa: TRY400 - it was logged

    server.reload = reload_or_stay


def open_metrics() -> Any:
    """Open the metrics port and return it; None without METRICS_PORT, when its package may not be installed."""
    if settings.metrics_port is None:
        return None
    try:
        metrics = import_module("server.metrics")
        return metrics.Exposition(settings.metrics_host, settings.metrics_port, settings.web_concurrency)
    except OSError as error:
        sys.exit(f"Error: METRICS_PORT {settings.metrics_port} cannot be used ({os.strerror(error.errno or 0)})")


def when_ready(server: Any) -> None:
    """With `make run`, stop when the terminal is closed."""
    if trying_out:
        import_module("server.trial").stop_with_terminal()


def pre_fork(server: Any, worker: Any) -> None:
    """Assign the memory that the worker writes its metrics to."""
    if server.metrics:
        server.metrics.assign_slot(worker, server.WORKERS.values())


def post_worker_init(worker: Any) -> None:
    """Start the worker's metrics. With `make run`, print what to try; never otherwise, because it contains a token."""
    if hasattr(worker, "metrics_slot"):
        import_module("server.metrics").start(worker, worker.wsgi)
    if trying_out:
        import_module("server.trial").survive_terminal()
        import_module("server.explanations").explain_refusals(worker.wsgi)
        if worker.age == 1:  # The first worker, so that what is printed works.
            import_module("server.welcome").greet(settings)


def child_exit(server: Any, worker: Any) -> None:
    """Remove the gauges of a dead worker from the metrics."""
    if server.metrics:
        server.metrics.remove_gauges(worker)


def on_exit(server: Any) -> None:
    """Stop the embedded PostgreSQL and close the metrics port."""
    if server.embedded is not None:
        server.embedded.close()
    if server.metrics is not None:
        server.metrics.close()

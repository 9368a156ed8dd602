"""Counts and times of all workers, for Prometheus: only imported where METRICS_PORT is set.

Each worker writes its own into files that all can read, and any of them answers the port of metrics with the sum. The
files belong to a place among the workers, not to a process: whoever follows a dead one counts on from where it ended,
so nothing is lost and no files are left over.
"""

import logging
import os
import shutil
import socket
import sys
import tempfile
import threading
from functools import cache
from http.server import ThreadingHTTPServer
from itertools import count
from typing import Any, cast

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import MetricsHandler
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from sqlalchemy import Engine, QueuePool

from todo import signals
from todo.database.isolation import Isolation
from todo.logs.requests import Request

log = logging.getLogger(__name__)

# Of requests, in seconds: a task takes a few milliseconds, a statement five seconds at most by default.
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# How long a scraper may take to send its request.
CLIENT_SECONDS = 2
NO_ROUTE = "none"


class Exposition:
    """The port and the files, made by the master before there are workers. Raises OSError if the port is taken."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, port), family=family)
        self.folder = tempfile.mkdtemp(prefix="todo-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = self.folder  # Where the library looks for it.

    def give_place(self, worker: Any, others: Any) -> None:
        """Give a new worker the first place that nobody living has."""
        taken = {other.place for other in others}
        worker.exposition = self
        worker.place = next(place for place in count() if place not in taken)

    def take_place(self, worker: Any) -> None:
        """Forget what a dead worker was doing; what it did still counts."""
        mark_process_dead(worker.place, self.folder)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Give up the port, and remove the files."""
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Metrics:
    """What one worker counts. Any label is one of few: never an id, never a path that is not a route."""

    def __init__(self, place: int) -> None:
        values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]
        self._requests = Counter("todo_requests", "Requests answered.", ("method", "route", "status"), registry=None)
        self._seconds = Histogram(
            "todo_request_seconds", "How long requests took.", ("method", "route"), buckets=BUCKETS, registry=None
        )
        self._in_use = make_gauge("todo_database_connections_in_use", "Connections that a request has.")
        self._waiting = make_gauge("todo_database_connections_waiting", "Requests that wait for a connection.")
        self._size = make_gauge("todo_database_connections_size", "Connections that there may be.")
        self._lock = threading.Lock()
        self._counters = cache(self._requests.labels)
        self._timers = cache(self._seconds.labels)

    def observe(self, worker: Any, app: Flask) -> None:
        """Count what the worker and its application do from now on."""
        worker.log.watchers.append(self.count)
        isolation: Isolation = app.extensions["isolation"]
        self._engine = isolation.engine
        self._size.set(find_pool(self._engine).size())
        take = isolation.take_connection

        def take_counted() -> Any:
            with self._waiting.track_inprogress():
                connection = take()
            self._look_at_pool()
            return connection

        isolation.take_connection = take_counted
        count_signals()

    def count(self, request: Request) -> None:
        """Count a request that was answered."""
        route = request.route or NO_ROUTE
        self._counters(request.method, route, request.status).inc()
        self._timers(request.method, route).observe(request.milliseconds / 1000)
        self._look_at_pool()

    def _look_at_pool(self) -> None:
        """Write down how many connections are in use; together, so that the last to write has seen the last change."""
        with self._lock:
            self._in_use.set(find_pool(self._engine).checkedout())


def find_pool(engine: Engine) -> QueuePool:
    """Return the pool of an engine, which is of this kind (database.py)."""
    return cast(QueuePool, engine.pool)


def make_gauge(name: str, what: str) -> Gauge:
    """Return a gauge that is the sum of the living workers'."""
    return Gauge(name, what, registry=None, multiprocess_mode="livesum")


def count_signals() -> None:
    """Count what is rare, from zero on: an alert needs to see the first."""
    repeated = Counter("todo_database_statements_repeated", "Statements sent again.", registry=None)
    lost = Counter("todo_database_connections_lost", "Connections lost while a statement ran.", registry=None)
    limited = Counter("todo_requests_limited", "Requests answered 429.", registry=None)
    fetches = Counter("todo_jwks_fetches", "Fetches of the keys of tokens.", ("outcome",), registry=None)
    fetched = {outcome: fetches.labels(outcome) for outcome in ("fetched", "failed")}
    for signal, counter in (
        (signals.statement_repeated, repeated),
        (signals.connection_lost, lost),
        (signals.request_limited, limited),
    ):
        signal.connect(lambda sender, counter=counter: counter.inc(), weak=False)
    signals.keys_fetched.connect(lambda sender, outcome: fetched[outcome].inc(), weak=False)


class Handler(MetricsHandler):
    """Answers a scraper, whatever path it asks for."""

    timeout = CLIENT_SECONDS


class Server(ThreadingHTTPServer):
    """Answers the port of metrics, each scraper in a thread: a slow one holds up no other."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write a line, in the shape of all."""
        log.warning("The metrics could not be told", exc_info=sys.exc_info())


def start(worker: Any, app: Flask) -> None:
    """Count what this worker does, and answer for all."""
    Metrics(worker.place).observe(worker, app)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, worker.exposition.folder)  # type: ignore[no-untyped-call]
    server = Server(("", 0), Handler.factory(registry), bind_and_activate=False)
    server.socket.close()
    server.socket = worker.exposition.socket
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

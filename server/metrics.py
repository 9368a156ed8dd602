"""Prometheus metrics of all workers; imported only if METRICS_PORT is set.

Each worker writes its values into memory that all workers share, and any worker serves the sum of all at the metrics
port. A part of the memory belongs to a slot, not to a process. A new worker takes the slot of a dead one and continues
its counters, so no count is lost.
"""

import logging
import os
import socket
import sys
import threading
from collections.abc import Hashable
from functools import cache
from http.server import ThreadingHTTPServer
from typing import Any, cast

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import MetricsHandler
from sqlalchemy import Engine, QueuePool

from server.shared_values import Collector, clear_gauges, has_regions, make_regions, use_regions
from todo import signals
from todo.database.isolation import Isolation
from todo.slots import Slots
from todo.web.requests import Request

log = logging.getLogger(__name__)

# In seconds: a request takes a few milliseconds, and a statement at most five seconds by default.
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# The timeout for a scraper's request.
SCRAPER_SECONDS = 2
NO_ROUTE = "none"
# For workers that SIGTTIN or a reload with a larger WEB_CONCURRENCY adds.
SPARE_SLOTS = 8


class Exposition:
    """The metrics port and memory, which the master creates before the workers. Raises OSError if the port is taken."""

    def __init__(self, host: str, port: int, workers: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        self.socket = socket.create_server((host, port), family=family, dualstack_ipv6=dual)
        # During a reload, there are twice as many workers.
        self._slots = range(2 * workers + SPARE_SLOTS)
        self.regions = make_regions(len(self._slots))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = ""  # prometheus_client needs it, but no folder.

    def assign_slot(self, worker: Any, others: Any) -> None:
        """Give a new worker the first slot that no other worker has, if there is one."""
        taken = {getattr(other, "metrics_slot", None) for other in others}
        free = [slot for slot in self._slots if slot not in taken]
        if free:
            worker.exposition, worker.metrics_slot = self, free[0]
        else:
            log.warning("A worker is not in the metrics, because there are more than %s", len(self._slots))

    def remove_gauges(self, worker: Any) -> None:
        """Remove the gauges of a dead worker; its counters stay."""
        if hasattr(worker, "metrics_slot"):
            clear_gauges(self.regions, worker.metrics_slot)

    def close(self) -> None:
        """Close the port."""
        self.socket.close()


class Metrics:
    """The metrics of one worker. Labels have few values: never an id, never a path that is not a route."""

    def __init__(self) -> None:
        self._requests = Counter("todo_requests", "Finished requests.", ("method", "route", "status"), registry=None)
        self._seconds = Histogram(
            "todo_request_seconds", "Duration of requests.", ("method", "route"), buckets=BUCKETS, registry=None
        )
        self._in_use = make_gauge("todo_database_connections_in_use", "Database connections in use.")
        self._waiting = make_gauge(
            "todo_database_connections_waiting", "Requests that wait for their turn or a connection."
        )
        self._size = make_gauge("todo_database_connections_size", "Maximum number of database connections.")
        self._lock = threading.Lock()
        self._counters = cache(self._requests.labels)
        self._timers = cache(self._seconds.labels)

    def observe(self, worker: Any, app: Flask) -> None:
        """Start counting the worker's requests and its application's connections."""
        worker.log.listeners.append(self.count)
        dropped = make_counter("todo_log_lines_dropped", "Lines that the log did not take.")
        if output := getattr(worker.log, "output", None):  # After a reload, the logger is the first release's.
            output.on_drop = dropped.inc
        isolation: Isolation = app.extensions["isolation"]
        connections = isolation.connections
        self._engine = connections.engine
        self._size.set(find_pool(self._engine).size())
        take = connections.take

        def take_counted() -> Any:
            with self._waiting.track_inprogress():
                connection = take()
            self._record_pool()
            return connection

        connections.take = take_counted
        slots: Slots = app.extensions["slots"]
        wait = slots.wait

        def wait_counted(owner: Hashable) -> bool:
            with self._waiting.track_inprogress():
                return wait(owner)

        slots.wait = wait_counted  # type: ignore[method-assign]
        count_signals()

    def count(self, request: Request) -> None:
        """Count a finished request."""
        route = request.route or NO_ROUTE
        self._counters(request.method, route, request.status).inc()
        self._timers(request.method, route).observe(request.milliseconds / 1000)
        self._record_pool()

    def _record_pool(self) -> None:
        """Set the gauge of connections in use; with a lock, so that the last write has the latest number."""
        with self._lock:
            self._in_use.set(find_pool(self._engine).checkedout())


def find_pool(engine: Engine) -> QueuePool:
    """Return the pool of an engine, which is a QueuePool by default."""
    return cast(QueuePool, engine.pool)


def make_gauge(name: str, text: str) -> Gauge:
    """Return a gauge whose value is the sum of all running workers."""
    return Gauge(name, text, registry=None, multiprocess_mode="livesum")


def make_counter(name: str, text: str) -> Counter:
    """Return a counter of rare events. It starts at zero, so that an alert sees the first event."""
    return Counter(name, text, registry=None)


def count_signals() -> None:
    """Count the events that the application signals."""
    repeated = make_counter("todo_database_statements_repeated", "Statements that were sent again.")
    lost = make_counter("todo_database_connections_lost", "Connections that were lost while a statement ran.")
    limited = make_counter("todo_requests_limited", "Requests that failed with 429.")
    fetches = Counter("todo_jwks_fetches", "Fetches of the keys that verify tokens.", ("outcome",), registry=None)
    fetched = {outcome: fetches.labels(outcome) for outcome in ("fetched", "failed")}
    for signal, counter in (
        (signals.statement_repeated, repeated),
        (signals.connection_lost, lost),
        (signals.request_limited, limited),
    ):
        signal.connect(lambda sender, counter=counter: counter.inc(), weak=False)
    signals.keys_fetched.connect(lambda sender, outcome: fetched[outcome].inc(), weak=False)


class Handler(MetricsHandler):
    """Serves the metrics at every path."""

    timeout = SCRAPER_SECONDS


class Server(ThreadingHTTPServer):
    """Serves the metrics port, each scraper in its own thread, so that a slow one delays no other."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error like all others; the base class prints it."""
        log.warning("The metrics could not be sent", exc_info=sys.exc_info())


def start(worker: Any, app: Flask) -> None:
    """Start this worker's metrics, and serve those of all workers."""
    exposition: Exposition = worker.exposition
    if not has_regions(getattr(exposition, "regions", {}), worker.metrics_slot):
        # After a reload, the master still has what its own release created.
        log.warning("This worker is not in the metrics, because this release has others: restart the service")
        return
    use_regions(exposition.regions, worker.metrics_slot)
    Metrics().observe(worker, app)
    registry = CollectorRegistry()
    registry.register(Collector())
    server = Server(("", 0), Handler.factory(registry), bind_and_activate=False)
    server.socket.close()
    server.socket = exposition.socket
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

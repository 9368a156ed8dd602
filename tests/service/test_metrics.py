"""Prometheus metrics, from any worker and after workers died."""

import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from config import Settings
from server.metrics import Exposition
from tests.support.clusters import wait_until
from tests.support.commands import ROOT, call, free_port, run, serve
from tests.support.databases import SECRET, Database
from tests.support.jwks_server import ISSUER, KEY, KeyServer
from todo.auth.tokens import issue_token


class Service:
    """A service with metrics, and a client of it."""

    def __init__(self, process: Any, port: int, metrics_port: int, authorization: dict[str, str]) -> None:
        self.process, self.port, self.metrics_port = psutil.Process(process.pid), port, metrics_port
        self._authorization = authorization

    def ask(self, method: str, path: str, **headers: str) -> int:
        return call(self.port, method, path, **self._authorization | headers).status

    def read(self) -> dict[tuple[str, ...], float]:
        """Return every sample by its name and label values, without Prometheus's own metrics."""
        for last in (False, False, True):
            try:
                with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as response:
                    text = response.read().decode()
                break
            except ConnectionError:  # On a busy machine the server may close this connection as too slow.
                if last:
                    raise
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def count(self, *sample: str) -> float:
        return self.read().get(sample, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the service's temporary files."""
    return tmp_path_factory.mktemp("metrics")


@pytest.fixture(scope="module")
def service(database: Database, folder: Path) -> Iterator[Service]:
    port, metrics_port = free_port(), free_port()
    with KeyServer(KEY) as keys:
        settings = {
            "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "METRICS_PORT": str(metrics_port),
            "JWKS_URL": keys.url, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": ISSUER, "RATE_LIMIT": "100/day",
            "LOCK_SECONDS": "20", "STATEMENT_SECONDS": "20", "TMPDIR": str(folder),
        }  # fmt: skip
        with serve(port, "--bind", f"127.0.0.1:{port}", "--workers=2", settings=settings) as process:
            yield Service(process, port, metrics_port, {"Authorization": f"Bearer {KEY.sign()}"})


def test_requests_are_counted_by_method_route_and_status(service: Service) -> None:
    # A request is counted after its response has been sent.
    wait_until(lambda: service.count("todo_requests_total", "GET", "/healthz", "200"))
    before = Counter(service.read())
    for path in ("/api/tasks", "/api/tasks/1", "/api/tasks/2", "/unknown/1", "/unknown/2"):
        service.ask("GET", path)
    service.ask("PURGE", "/api/tasks")
    wait_until(lambda: service.count("todo_requests_total", "other", "none", "405"))
    found = Counter(service.read())
    found.subtract(before)
    assert {sample: number for sample, number in found.items() if sample[0] == "todo_requests_total" and number} == {
        ("todo_requests_total", "GET", "/api/tasks", "200"): 1,
        ("todo_requests_total", "GET", "/api/tasks/<task_id>", "404"): 2,
        ("todo_requests_total", "GET", "none", "404"): 2,
        ("todo_requests_total", "other", "none", "405"): 1,
    }
    assert found["todo_request_seconds_count", "GET", "/api/tasks"] == 1
    assert found["todo_request_seconds_bucket", "+Inf", "GET", "/api/tasks"] == 1
    assert 0 < found["todo_request_seconds_sum", "GET", "/api/tasks"] < 10


def test_counts_of_dead_workers_are_kept(service: Service, folder: Path) -> None:
    sample = ("todo_requests_total", "GET", "/api/openapi.json", "200")
    for expected in (3, 6, 9):
        for _ in range(3):
            service.ask("GET", "/api/openapi.json")
        wait_until(lambda expected=expected: service.count(*sample) == expected)  # type: ignore[misc]
        worker = service.process.children()[0]
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        wait_until(lambda: service.count("todo_database_connections_size") == 16)
        assert service.count(*sample) == expected
    assert list(folder.glob("todo*")) == []


def test_lost_connections_and_repeated_statements_are_counted(service: Service, database: Database) -> None:
    lost, repeated = (
        service.count(f"todo_database_{what}_total") for what in ("connections_lost", "statements_repeated")
    )
    assert service.count("todo_database_connections_in_use") == 0
    with ThreadPoolExecutor(1) as client:
        with database.transaction() as execute:
            execute("LOCK TABLE todo.tasks")
            answer = client.submit(service.ask, "GET", "/api/tasks")
            wait_until(lambda: service.count("todo_database_connections_in_use") == 1)
            waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'todo.tasks'::regclass"
            wait_until(lambda: execute(waiting))
            database.run(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS w")
            wait_until(lambda: service.count("todo_database_connections_lost_total") == lost + 1)
        assert answer.result() == 200
    assert service.count("todo_database_statements_repeated_total") == repeated + 1
    wait_until(lambda: service.count("todo_database_connections_in_use") == 0)


def test_gauges_of_dead_workers_are_removed(service: Service, database: Database) -> None:
    with database.transaction() as execute, ThreadPoolExecutor(1) as client:
        execute("LOCK TABLE todo.tasks")
        answer = client.submit(service.ask, "GET", "/api/tasks")
        wait_until(lambda: service.count("todo_database_connections_in_use") == 1)
        workers = service.process.children()
        for worker in workers:
            worker.kill()
        assert isinstance(answer.exception(), OSError)
    wait_until(lambda: not {*workers} & {*service.process.children()})
    wait_until(lambda: service.count("todo_database_connections_size") == 16)
    assert service.count("todo_database_connections_in_use") == 0


def test_requests_that_wait_for_a_connection_are_counted() -> None:
    port, metrics_port = free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as client:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        settings = {
            "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": url, "METRICS_PORT": str(metrics_port), "CONNECT_SECONDS": "2"
        }  # fmt: skip
        token = issue_token(Settings(better_auth_secret=SECRET), "somebody", 600)
        with serve(port, "--bind", f"127.0.0.1:{port}", "--workers=1", settings=settings) as process:
            service = Service(process, port, metrics_port, {"Authorization": f"Bearer {token}"})
            answer = client.submit(service.ask, "GET", "/api/tasks")
            wait_until(lambda: service.count("todo_database_connections_waiting") == 1)
            assert answer.result() == 503
            assert service.count("todo_database_connections_waiting") == 0


def test_key_fetches_and_limited_requests_are_counted(service: Service) -> None:
    assert service.count("todo_jwks_fetches_total", "fetched") >= 1
    assert service.count("todo_jwks_fetches_total", "failed") == 0
    token = KEY.sign(sub="hasty")
    refused = [service.ask("GET", "/api/tasks?limit=1", Authorization=f"Bearer {token}") for _ in range(250)].count(429)
    assert refused >= 50
    assert service.count("todo_requests_limited_total") == refused


def test_every_metric_is_documented(service: Service) -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    found = {re.sub("_(bucket|count|sum)$", "", sample[0]) for sample in service.read()}
    assert found == set(re.findall(r"^\| `(todo_\w+)` \|", page, re.MULTILINE))


def test_slow_scrapers_do_not_block_others(service: Service) -> None:
    done = Event()

    def drip() -> None:
        with socket.create_connection(("127.0.0.1", service.metrics_port)) as slow, suppress(ConnectionError):
            slow.sendall(b"GET /metrics HTTP/1.1\r\n")
            while not done.wait(0.5):
                slow.sendall(b"x")

    with ThreadPoolExecutor(4) as pool:  # More scrapers than workers.
        drips = [pool.submit(drip) for _ in range(4)]
        time.sleep(1)
        try:
            assert service.read()
        finally:
            done.set()
    assert [each.result() for each in drips] == [None] * 4


def test_metrics_and_the_api_have_separate_ports(service: Service) -> None:
    assert call(service.port, "GET", "/metrics").status == 404
    with urlopen(f"http://127.0.0.1:{service.metrics_port}/api/tasks", timeout=10) as response:
        assert b"todo_requests" in response.read()


def test_a_used_metrics_port_stops_the_start_with_one_line(service: Service, database: Database) -> None:
    settings = {
        "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "PORT": str(free_port()),
        "METRICS_PORT": str(service.metrics_port),
    }  # fmt: skip
    started = run("gunicorn", "wsgi:app", settings=settings)
    assert started.returncode != 0
    assert f"Error: METRICS_PORT {service.metrics_port} cannot be used" in started.stderr


def test_prometheus_client_is_needed_only_with_metrics_port() -> None:
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": "postgresql://u@127.0.0.1:1/d"}
    code = "import sys, wsgi; assert not [name for name in sys.modules if name.startswith('prometheus')]"
    assert run("python", "-c", code, settings=settings).returncode == 0
    hide = "import importlib.util as util; util.find_spec = lambda name: None; import wsgi"
    started = run("python", "-c", hide, settings=settings | {"METRICS_PORT": "9100"})
    assert "METRICS_PORT needs a package that is not installed: pip install prometheus-client" in started.stderr


def test_metrics_on_all_ipv6_addresses_include_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    port = free_port()
    with closing(Exposition("::", port, 1)):
        for host in ("::1", "127.0.0.1"):
            socket.create_connection((host, port), timeout=5).close()

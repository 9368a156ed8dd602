"""After a failover the next write succeeds, although old connections still lead to the old primary."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from config import Settings
from tests.support.clusters import wait_until
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database
from tests.support.replicas import PROGRAMS, Replicas, replicas
from tests.support.wire import Wire
from todo.auth.tokens import issue_token

pytestmark = pytest.mark.skipif(not (PROGRAMS / "pg_basebackup").exists(), reason="needs PostgreSQL 15")

THREADS = 4
# One user gets half of the threads, so several users are needed to use all connections.
TOKENS = [issue_token(Settings(better_auth_secret=SECRET), f"user{number}", 3600) for number in range(THREADS)]


@pytest.fixture
def pair() -> Iterator[Replicas]:
    with replicas() as pair:
        yield pair


def write(port: int, number: int) -> int:
    headers = {"Authorization": f"Bearer {TOKENS[number % THREADS]}", "Content-Type": "application/json"}
    return call(port, "POST", "/api/tasks", json.dumps({"title": "x"}), **headers).status


def read(port: int) -> int:
    return call(port, "GET", "/api/tasks?limit=1", Authorization=f"Bearer {TOKENS[0]}").status


def write_at_once(port: int, times: int = 4 * THREADS) -> Counter[int]:
    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(pool.map(write, [port] * times, range(times)))


def prepare(pair: Replicas) -> Database:
    database = Database(pair.primary, "tasks")
    database.create()
    database.migrate()
    # The replica has it too: it starts with a copy, and follows.
    wait_until(lambda: pair.replica.run("SELECT count(*) FROM pg_database WHERE datname = 'tasks'") == [(1,)])
    return database


@contextmanager
def serve_with(url: str, log: Path) -> Iterator[int]:
    port = free_port()
    settings = {
        "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": url, "RATE_LIMIT": "off", "WEB_CONCURRENCY": "1",
        "THREADS": str(THREADS),
    }  # fmt: skip
    with serve(port, "--bind", f"127.0.0.1:{port}", settings=settings, log=log):
        yield port


@contextmanager
def serve_by_name(pair: Replicas, log: Path) -> Iterator[tuple[int, Wire]]:
    """Run the service on a name that leads to the primary, with several open connections."""
    database = prepare(pair)
    with (
        Wire(pair.primary.superuser_url) as wire,
        serve_with(str(wire.settings(database).database_url), log) as port,
    ):
        deadline = time.monotonic() + 10
        while wire.connections < THREADS:
            assert write_at_once(port) == {201: 4 * THREADS}
            assert time.monotonic() < deadline, "not all connections are used"
        time.sleep(1)
        yield port, wire


def test_no_write_fails_if_the_name_is_moved_first(pair: Replicas, tmp_path: Path) -> None:
    with serve_by_name(pair, tmp_path / "log") as (port, wire):
        pair.fail_over()
        wire.move(pair.replica.superuser_url)
        assert write_at_once(port) == {201: 4 * THREADS}


def test_writes_go_on_when_the_name_is_moved_later(pair: Replicas, tmp_path: Path) -> None:
    with serve_by_name(pair, tmp_path / "log") as (port, wire):
        pair.fail_over()
        before, refused, began = wire.connections, Counter[int](), time.monotonic()
        while time.monotonic() < began + 3:
            refused += write_at_once(port)
            assert read(port) == 200
        assert refused.keys() == {503}
        # The reader refuses each write. That costs few reconnections: each connection is replaced once a second.
        assert wire.connections - before <= THREADS * (time.monotonic() - began + 1) < refused.total()
        wire.move(pair.replica.superuser_url)
        time.sleep(1)
        assert write_at_once(port) == {201: 4 * THREADS}
        assert read(port) == 200


def test_a_url_with_both_hosts_finds_the_new_primary(pair: Replicas, tmp_path: Path) -> None:
    database = prepare(pair)
    first, second = (each.superuser_url.port for each in (pair.primary, pair.replica))
    login = f"{database.role('owner')}:test"
    hosts = f"127.0.0.1:{first},127.0.0.1:{second}"
    url = f"postgresql://{login}@{hosts}/{database.name}?target_session_attrs=read-write"
    with serve_with(url, tmp_path / "log") as port:
        assert write_at_once(port) == {201: 4 * THREADS}
        time.sleep(1)
        pair.fail_over()
        assert write_at_once(port) == {201: 4 * THREADS}
        assert pair.replica.run("SELECT count(*) FROM todo.tasks", database=database.name) == [(8 * THREADS,)]

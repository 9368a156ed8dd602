"""One user's slow requests, and responses that nobody reads, keep no other user waiting."""

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from server.clients import SEND_SECONDS
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database, Server
from tests.support.proxies import INSTALLED, PROXIES
from tests.support.readers import Connect, Crowd, fill, time_requests

SECONDS = 6
BUNDLE = "/api/docs/swagger-ui-bundle.js"
# The largest page of the greedy user's, and queries that read all of the tasks.
LARGE = "/api/tasks"
SLOW = ["/api/tasks?tag=none", "/api/tasks?sort=title", "/api/tasks", "/api/tasks?search=none"]
MIB = 2**20


@pytest.fixture(scope="module")
def large_database(server: Server) -> Iterator[Database]:
    with server.database(migrated=True) as database:
        fill(database)
        yield database


@pytest.fixture
def service(large_database: Database, tmp_path: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The port and the master process of a service with two workers of eight threads, without a rate limit."""
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": large_database.url(), "RATE_LIMIT": "off"}
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "2")
    with serve(port, *arguments, settings=settings, log=tmp_path / "log") as process:
        yield port, psutil.Process(process.pid)


@pytest.fixture
def connect(request: pytest.FixtureRequest, service: tuple[int, Any], tmp_path: Path) -> Iterator[Connect]:
    """Connect to the service, directly and through each proxy."""
    if request.param == "directly":
        yield partial(http.client.HTTPConnection, "127.0.0.1", service[0], timeout=20)
        return
    if not INSTALLED[request.param]:
        pytest.skip(f"{request.param} is not installed")
    with PROXIES[request.param](service[0], tmp_path) as proxy:
        yield proxy.connect


UNREAD, SLOWLY_READ = "5 large lists a second, never read", "24 readers of large lists at 64 kB/s"
WORK: dict[str, tuple[Callable[[Crowd], None], int]] = {
    UNREAD: (lambda crowd: crowd.ask_and_never_read(LARGE, 5), 1),
    SLOWLY_READ: (lambda crowd: crowd.read_slowly(LARGE, 64_000), 24),
}


@pytest.mark.parametrize(
    ("connect", "work"),
    [("directly", UNREAD), ("directly", SLOWLY_READ), ("nginx", SLOWLY_READ), ("caddy", UNREAD)],
    indirect=["connect"],
)
def test_slow_readers_delay_nobody(connect: Connect, work: str) -> None:
    crowd = Crowd(connect)
    does, number = WORK[work]
    with crowd.busy(lambda: does(crowd), number):
        time.sleep(1)
        times = time_requests(connect, SECONDS)
    print(f"\n{work}: median {times.median:.3f} s, at most {times.worst:.2f} s, {dict(times.statuses)}")
    print(f"the slow readers: {dict(crowd.statuses)}")
    assert times.statuses.keys() == {200}
    assert times.median < 0.1
    assert times.worst < 1


def test_slow_queries_of_one_user_delay_nobody(service: tuple[int, psutil.Process]) -> None:
    port, master = service
    crowd = Crowd(partial(http.client.HTTPConnection, "127.0.0.1", port, timeout=20))
    paths = iter(SLOW * 25)
    before = max(worker.memory_info().rss for worker in master.children())
    with crowd.busy(lambda: crowd.read_fast(next(paths)), 100):
        time.sleep(1)
        times = time_requests(crowd.connect, SECONDS)
    after = max(worker.memory_info().rss for worker in master.children())
    print(f"\n100 connections: median {times.median:.3f} s, at most {times.worst:.2f} s, {dict(times.statuses)}")
    print(f"a worker grew from {before / MIB:.0f} to {after / MIB:.0f} MiB; the others: {dict(crowd.statuses)}")
    assert times.statuses.keys() == {200}
    assert times.median < 0.3
    assert times.worst < 2
    assert after < before + 100 * MIB


def test_readers_without_a_token_delay_nobody(service: tuple[int, psutil.Process]) -> None:
    crowd = Crowd(partial(http.client.HTTPConnection, "127.0.0.1", service[0], timeout=20), headers={})
    with crowd.busy(lambda: crowd.ask_and_never_read(BUNDLE, 10)):
        time.sleep(1)
        times = time_requests(crowd.connect, SECONDS)
    print(f"\nmedian {times.median:.3f} s, at most {times.worst:.2f} s, {dict(times.statuses)}")
    assert times.statuses.keys() == {200}
    assert times.worst < 1


def drip(client: socket.socket, seconds: float) -> None:
    """Read 10 kB in a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client.recv(1000)
        time.sleep(0.1)


def test_a_client_that_reads_byte_by_byte_is_disconnected(service: tuple[int, psutil.Process]) -> None:
    """Each byte would renew a timeout of single sends. The requests are pipelined, since the kernel buffers 4 MiB."""
    with socket.create_connection(("127.0.0.1", service[0]), timeout=5) as client:
        client.sendall(f"GET {BUNDLE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 8)
        started = time.monotonic()
        with pytest.raises(ConnectionResetError):
            drip(client, 3 * SEND_SECONDS)
        assert SEND_SECONDS - 1 < time.monotonic() - started < SEND_SECONDS + 5


def test_pipelined_requests_that_are_not_read_delay_nobody(service: tuple[int, psutil.Process]) -> None:
    port, _ = service
    with ExitStack() as clients:
        for _ in range(16):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(f"GET {BUNDLE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 8)
        started = time.monotonic()
        assert call(port, "GET", "/healthz").status == 200
        assert time.monotonic() - started < 1

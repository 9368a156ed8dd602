"""A user gets a 503 within CONNECT_SECONDS and one more, whatever the name of the database leads to."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from config import Settings
from tests.support.commands import call, free_port, serve
from tests.support.containers import AVAILABLE
from tests.support.databases import SECRET
from tests.support.silence import silent_addresses
from todo.auth.tokens import issue_token

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs namespaces, for files of its own in /etc")

SECONDS = 3
HEADERS = {"Authorization": f"Bearer {issue_token(Settings(better_auth_secret=SECRET), 'alice', 3600)}"}


@contextmanager
def serve_with(folder: Path, url: str, hosts: str = "", name_servers: str = "") -> Iterator[int]:
    """Run the service with its own /etc/hosts and /etc/resolv.conf."""
    port = free_port()
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
    (folder / "resolv.conf").write_text(name_servers)
    mounts = " && ".join(f"mount --bind '{folder / name}' /etc/{name}" for name in ("hosts", "resolv.conf"))
    prefix = ("unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh")
    settings = {
        "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": url, "CONNECT_SECONDS": str(SECONDS), "WEB_CONCURRENCY": "1",
        "THREADS": "4",
    }  # fmt: skip
    with serve(port, "--bind", f"127.0.0.1:{port}", settings=settings, log=folder / "log", prefix=prefix):
        yield port


def measure(port: int) -> tuple[int, float]:
    """Return the status of a request, and its seconds."""
    started = time.monotonic()
    status = call(port, "GET", "/api/tasks", **HEADERS).status
    return status, time.monotonic() - started


def check(port: int) -> None:
    for _ in range(3):
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: measure(port), range(3)))
        started = time.monotonic()
        assert call(port, "GET", "/healthz").status == 200
        assert time.monotonic() - started < 0.5
        for status, seconds in answers:
            assert status == 503
            assert seconds < SECONDS + 1, answers


def test_a_name_with_three_silent_addresses_is_503_in_time(tmp_path: Path) -> None:
    with silent_addresses(3) as (addresses, database_port):
        hosts = "".join(f"{address} database.example\n" for address in addresses)
        with serve_with(tmp_path, f"postgresql://u@database.example:{database_port}/d", hosts) as port:
            check(port)


def test_silent_name_servers_are_503_in_time(tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.77.53", 53))
        with serve_with(tmp_path, "postgresql://u@database.example/d", "", "nameserver 127.0.77.53\n") as port:
            check(port)

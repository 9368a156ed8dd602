"""A firewall drops connections silently while they are idle: the next write succeeds."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL

from config import Settings
from tests.support.clusters import wait_until
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database
from todo.auth.tokens import issue_token

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root, for a network of its own"
)

HEADERS = {
    "Authorization": f"Bearer {issue_token(Settings(better_auth_secret=SECRET), 'alice', 3600)}",
    "Content-Type": "application/json",
}
# Forwards TCP connections to PostgreSQL's socket, which has no network.
RELAY = """
import asyncio, sys

async def pipe(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def relay(reader, writer):
    try:
        server = await asyncio.open_unix_connection(sys.argv[2])
        await asyncio.gather(pipe(reader, server[1]), pipe(server[0], writer))
    except OSError:
        pass

async def main():
    async with await asyncio.start_server(relay, sys.argv[1], 5432) as server:
        await server.serve_forever()

asyncio.run(main())
"""


class Network:
    """A network of its own, in which PostgreSQL listens."""

    def __init__(self) -> None:
        self._name = f"todo{secrets.token_hex(3)}"
        number = secrets.randbelow(250)
        self.here, self.there = f"10.249.{number}.1", f"10.249.{number}.2"

    def run(self, *command: str) -> None:
        subprocess.run(["ip", *command], check=True)

    def set_up(self) -> None:
        self.run("netns", "add", self._name)
        self.run("link", "add", self._name, "type", "veth", "peer", "name", "inner", "netns", self._name)
        self.run("addr", "add", f"{self.here}/24", "dev", self._name)
        self.run("link", "set", self._name, "up")
        self.run("-n", self._name, "addr", "add", f"{self.there}/24", "dev", "inner")
        self.run("-n", self._name, "link", "set", "inner", "up")

    def tear_down(self) -> None:
        self.run("netns", "delete", self._name)

    @contextmanager
    def relay(self, socket_path: str) -> Iterator[None]:
        command = ["ip", "netns", "exec", self._name, sys.executable, "-c", RELAY, self.there, socket_path]
        process = subprocess.Popen(command)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def drop_everything(self) -> None:
        """Lose all packets, in both directions, and tell nobody."""
        self.run("-n", self._name, "route", "add", "blackhole", self.here)
        self.run("-n", self._name, "route", "flush", "cache")

    def restore(self) -> None:
        self.run("-n", self._name, "route", "delete", "blackhole", self.here)


@contextmanager
def own_network() -> Iterator[Network]:
    network = Network()
    network.set_up()
    try:
        yield network
    finally:
        network.tear_down()


def write(port: int) -> int:
    return call(port, "POST", "/api/tasks", json.dumps({"title": "x"}), **HEADERS).status


def find_socket(url: URL) -> str:
    return f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"


def test_a_connection_dropped_while_idle_costs_no_write(own_database: Database, tmp_path: Path) -> None:
    superuser = own_database.server.superuser_url
    if "host" not in superuser.query:
        pytest.skip("needs PostgreSQL on a Unix socket")
    port = free_port()
    # The defaults, with shorter times.
    quick = "sslmode=disable&keepalives_idle=1&keepalives_interval=1&keepalives_count=1&tcp_user_timeout=2000"
    with own_network() as network, ExitStack() as relay:
        relay.enter_context(network.relay(find_socket(superuser)))
        url = own_database.url(host=network.there, port=5432, query={})
        settings = {
            "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": f"{url}?{quick}", "WEB_CONCURRENCY": "1", "THREADS": "2",
        }  # fmt: skip
        with serve(port, "--bind", f"127.0.0.1:{port}", settings=settings, log=tmp_path / "log"):
            wait_until(lambda: write(port) == 201)
            network.drop_everything()
            relay.close()  # The other end disappears, and its last packet is lost.
            relay.enter_context(network.relay(find_socket(superuser)))
            time.sleep(6)
            network.restore()
            started = time.monotonic()
            assert write(port) == 201
            assert time.monotonic() - started < 2

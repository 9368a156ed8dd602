"""Clients that request much and read nothing hold threads for seconds, not forever."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

from server.worker import SEND_SECONDS
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database

PATH = "/api/docs/swagger-ui-bundle.js"


def test_a_client_that_reads_nothing_is_disconnected(database: Database, tmp_path: Path) -> None:
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "THREADS": "2"}
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "1")
    with serve(port, *arguments, settings=settings, log=tmp_path / "log"), ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 8)
        started = time.monotonic()
        time.sleep(1)
        client = clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=6 * SEND_SECONDS))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert SEND_SECONDS - 2 < time.monotonic() - started < 6 * SEND_SECONDS
        assert call(port, "GET", "/healthz").status == 200

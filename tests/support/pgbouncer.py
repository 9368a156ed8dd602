"""PgBouncer in transaction mode, as behind Neon's pooled URL, in front of the PostgreSQL of the tests."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2

from tests.support.clusters import as_server_s_user, wait_until
from tests.support.commands import free_port
from tests.support.databases import Database
from tests.support.wire import Wire

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {connections}
server_tls_sslmode = disable
auth_type = scram-sha-256
auth_file = {users}
"""


class Pooler:
    """A PgBouncer for the logins of one database, with a fixed number of server connections for each login."""

    def __init__(self, database: Database, server_port: int, connections: int, folder: Path) -> None:
        self.port = free_port()
        self._file = folder / "pgbouncer.ini"
        users = folder / "users.txt"
        users.write_text("".join(f'"{database.role(login)}" "test"\n' for login in database.LOGINS))
        values = {"server_port": server_port, "port": self.port, "connections": connections, "users": users}
        self._file.write_text(CONFIGURATION.format(**values))

    def start(self) -> None:
        assert PROGRAM
        self._process = as_server_s_user(PROGRAM, "--quiet", str(self._file))
        wait_until(self._accepts)

    def stop(self, signum: signal.Signals = signal.SIGINT) -> None:
        """Stop PgBouncer. The default signal waits for the current transactions."""
        self._process.send_signal(signum)
        self._process.wait(15)

    def url(self, database: Database, login: str) -> str:
        return database.url(login, host="127.0.0.1", port=self.port, query={})

    def _accepts(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def pooling(database: Database, connections: int) -> Iterator[Pooler]:
    """Run PgBouncer. A relay connects it to the server, because its user cannot enter the embedded server's folder."""
    with Wire(database.server.superuser_url) as relay, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PgBouncer refuses to run as root.
        pooler = Pooler(database, relay.port, connections, folder)
        pooler.start()
        try:
            yield pooler
        finally:
            with suppress(subprocess.TimeoutExpired):
                pooler.stop()


@contextmanager
def client(url: str) -> Iterator["psycopg2.extensions.cursor"]:
    """Return a plain client whose statements are separate transactions."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()

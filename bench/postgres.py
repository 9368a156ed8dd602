"""The PostgreSQL that the benchmarks use: a cluster of their own over TCP, and the CPU time of its processes."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from typing import Any

import click
import psutil
import psycopg2

from embedded.cluster import Cluster
from embedded.files import Home

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "1GB",  # A usual share of a server's memory; the default is 128 MB.
    "checkpoint_timeout": "1h",  # A checkpoint would be charged to the service that is measured just then.
    "max_wal_size": "4GB",
    "log_min_messages": "fatal",
}

postgres_option = click.option(
    "--postgres",
    "programs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="BENCH_POSTGRES",
    help="The programs of another PostgreSQL than the embedded one, such as /usr/lib/postgresql/15/bin.",
)


class Server(Cluster):
    """A cluster that listens on a port. Its settings override those of an embedded PostgreSQL."""

    settings: dict[str, str]

    def _choose_options(self) -> list[str]:
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        return [*super()._choose_options(), *options]


@dataclass(frozen=True)
class Postgres:
    """A running server: its superuser's URL, its port, and its first process."""

    url: str
    port: int
    process: psutil.Process

    def read_cpu_seconds(self) -> float:
        """Return the CPU time of all processes so far, also of those that have ended."""
        children = sum(map(read_cpu_seconds, self.process.children()))
        ended = self.process.cpu_times()  # Last: a process that ends meanwhile counts here.
        return children + read_cpu_seconds(self.process) + ended.children_user + ended.children_system


def read_cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process so far, in user and kernel mode; 0 if it has ended."""
    with suppress(OSError, psutil.NoSuchProcess):
        if psutil.LINUX:
            # The clock of clock_getcpuclockid(3) counts nanoseconds; /proc counts hundredths of a second.
            return time.clock_gettime(~process.pid << 3 | 2)
        times = process.cpu_times()
        return times.user + times.system
    return 0


@contextmanager
def postgres_running(programs: Path | None = None, **settings: str) -> Iterator[Postgres]:
    """Run a PostgreSQL while the context lasts, and remove its data at the end.

    ``programs`` is the folder of its programs, by default the embedded one's; ``settings`` are PostgreSQL's.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Otherwise the server would stay.
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        home = Home(Path(folder) / "postgres")
        home.create()
        home.log.touch()
        server = Server(home)
        server.programs = programs or server.programs
        server.settings = {**SETTINGS, "port": str(port), **settings}
        with redirect_stdout(None):  # The output of initdb.
            server.create()
        process = server.start()
        try:
            password = home.password.read_text()
            yield Postgres(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", port, process)
        finally:
            server.stop(process)


def execute(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement outside a transaction and return its rows."""
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []

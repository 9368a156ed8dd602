"""The three services that are compared: how each is configured, served and measured.

``ours`` is this repository in production configuration: it writes a log line per request, to a file. Its rate limiter
runs with a limit that no request reaches. ``peer`` and ``floor`` are described in their modules; they write no log. All
three run in the same virtual environment, on the same PostgreSQL. They get requests in turns, so the CPU time of
PostgreSQL during a load was used for one service.
"""

import heapq
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from tempfile import NamedTemporaryFile
from typing import NamedTuple
from urllib.parse import urlsplit

import click
import psutil

from bench.clients import Load, send_load
from bench.postgres import Postgres, read_cpu_seconds
from config import Settings

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SECRET = "throwaway-secret-for-measuring-0123456789"
COMMANDS = {
    "ours": ("gunicorn", "wsgi:app", "--error-logfile={log}"),
    "peer": ("uvicorn", "bench.peer:app", "--port={port}", "--no-access-log", "--log-level=warning"),
    "floor": (
        *("gunicorn", "bench.floor:app", "--bind=127.0.0.1:{port}", "--log-level=warning", "--no-control-socket"),
        # Without a --config, gunicorn would read the settings of ours from gunicorn.conf.py. This package has none.
        *("--config=python:bench", "--worker-class=server.worker.Worker", f"--threads={Settings.threads}"),
    ),
}
# The peer ends its transaction after it has sent the response. This CPU time counts too.
SETTLE_SECONDS = 0.05


class Sample(NamedTuple):
    """The result of a load. CPU times are in microseconds per request."""

    per_second: float
    p50_ms: float
    service_us: float
    database_us: float

    @property
    def total_us(self) -> float:
        """The CPU time of service and database."""
        return self.service_us + self.database_us


@dataclass(frozen=True)
class Service:
    """A running service, and the PostgreSQL that it uses."""

    port: int
    process: psutil.Process
    postgres: Postgres
    workers: int

    def find_processes(self) -> list[psutil.Process]:
        """Return all processes of the service."""
        return [self.process, *self.process.children(recursive=True)]

    def read_cpu_seconds(self) -> tuple[float, float]:
        """Return the CPU times so far: of the service's processes, and of PostgreSQL's."""
        return sum(map(read_cpu_seconds, self.find_processes())), self.postgres.read_cpu_seconds()

    def measure(self, load: Load) -> Sample:
        """Send a load to the service. Raises WrongResponse."""
        before = self.read_cpu_seconds()
        responses = send_load(self.port, load)
        time.sleep(SETTLE_SECONDS)
        after = self.read_cpu_seconds()
        number = len(responses.latencies)
        service_us, database_us = (1e6 * (end - start) / number for start, end in zip(before, after, strict=True))
        return Sample(number / responses.seconds, median(responses.latencies) * 1000, service_us, database_us)

    def measure_memory(self) -> dict[str, float]:
        """Return the average memory of a worker in MiB: all, unshared, and unshared plus its part of what is shared."""
        infos = [process.memory_full_info() for process in self.find_processes()]
        workers = heapq.nlargest(self.workers, infos, key=lambda info: int(info.rss))  # The master is smaller.
        # Only Linux reports PSS.
        return {name: mean(getattr(info, name, 0) for info in workers) / 2**20 for name in ("rss", "uss", "pss")}


@contextmanager
def serving(name: str, postgres: Postgres, database_url: str, workers: int, root: Path = ROOT) -> Iterator[Service]:
    """Run one of the services on a database while the context lasts. Waits until it listens.

    ``root`` is the checkout with its code.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = make_environment(database_url, PORT=str(port), WEB_CONCURRENCY=str(workers))
    with NamedTemporaryFile() as log:
        program, *arguments = (part.format(port=port, log=log.name) for part in COMMANDS[name])
        process = subprocess.Popen([BIN / program, *arguments], cwd=root, env=environment)
        try:
            while not is_listening(port):
                if process.poll() is not None:
                    raise click.ClickException(f"{name} ended with {process.returncode}")
                time.sleep(0.1)
            yield Service(port, psutil.Process(process.pid), postgres, workers)
        finally:
            process.terminate()
            process.wait()


def is_listening(port: int) -> bool:
    """Return whether a process listens on this port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def run(program: str, *arguments: str, database_url: str, root: Path = ROOT) -> None:
    """Run a program of the virtual environment in a checkout to its end. Raises CalledProcessError."""
    subprocess.run([BIN / program, *arguments], cwd=root, env=make_environment(database_url), check=True)


def make_environment(database_url: str, **settings: str) -> Mapping[str, str]:
    """Return the environment variables that configure each of the three services."""
    return {
        **os.environ,
        "FLASK_SKIP_DOTENV": "1",
        "NEON_DB_URL": database_url,
        "DATABASE_URL": urlsplit(database_url)._replace(scheme="postgresql+psycopg2").geturl(),
        "BETTER_AUTH_SECRET": SECRET,
        "RATE_LIMIT": "600000000/minute",
        **settings,
    }

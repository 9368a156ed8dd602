"""The three services that are compared: how each is set up, served and measured.

``ours`` is this repository as it is served, limiter and all: only its number is one that nobody reaches. ``peer`` and
``floor`` say themselves what they are. All run in the same virtual environment, on the same PostgreSQL. ``ours`` writes
a line for each request, to a file, as it does when it is served; the other two write none.
"""

import heapq
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from bench.clients import Load, ask
from bench.processes import find_free_port, make_environment, running
from bench.relay import Relay
from config import Settings

# The peer goes on with a request after its answer (it ends the transaction): that counts too.
REST_SECONDS = 0.05
RATE_LIMIT = "600000000/minute"


@dataclass(frozen=True)
class Kind:
    """How a service's table is made, how it is served, and what its table is called."""

    make_table: tuple[str, ...]
    serve: tuple[str, ...]
    table: str


KINDS = {
    "ours": Kind(("flask", "db", "upgrade"), ("gunicorn", "wsgi:app", "--error-logfile={log}"), "todo.tasks"),
    "peer": Kind(
        ("python", "-m", "bench.peer"),
        ("uvicorn", "bench.peer:app", "--port={port}", "--workers={workers}", "--no-access-log", "--log-level=warning"),
        "task",
    ),
    "floor": Kind(
        ("python", "-m", "bench.floor"),
        (
            # The package's own file has no settings; without this, gunicorn.conf.py would bring all of ours with it.
            *("gunicorn", "bench.floor:app", "--config=python:bench", "--no-control-socket", "--log-level=warning"),
            *(
                "--worker-class=server.worker.Worker",
                f"--threads={Settings.threads}",
                "--workers={workers}",
                "--bind=127.0.0.1:{port}",
            ),
        ),
        "tasks",
    ),
}


class Sample(NamedTuple):
    """What a load came to. ``cpu_us`` is what the service's processes computed per request, in microseconds."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


class Memory(NamedTuple):
    """Of one worker, in MiB: all it sees, what it has alone, and that with its part of what is shared."""

    rss: float
    uss: float
    pss: float


@dataclass(frozen=True)
class Service:
    """A service that runs."""

    port: int
    process: psutil.Process
    workers: int

    def find_processes(self) -> list[psutil.Process]:
        """Return all of its processes: the workers, and the master where there is one."""
        return [self.process, *self.process.children(recursive=True)]

    def read_cpu_seconds(self) -> float:
        """Return what its processes have computed so far, the kernel's work for them included."""
        return sum(read_cpu_seconds(process) for process in self.find_processes())

    def measure(self, load: Load, executor: Executor) -> Sample:
        """Load it from the executor's process. Raises WrongAnswer."""
        before = self.read_cpu_seconds()
        answers = executor.submit(ask, self.port, load).result()
        time.sleep(REST_SECONDS)
        cpu_seconds = self.read_cpu_seconds() - before
        latencies = sorted(answers.latencies)
        return Sample(
            requests=len(latencies),
            per_second=len(latencies) / answers.seconds,
            p50_ms=find_percentile(latencies, 0.50) * 1000,
            p99_ms=find_percentile(latencies, 0.99) * 1000,
            cpu_us=cpu_seconds / len(latencies) * 1_000_000,
        )

    def count_round_trips(self, load: Load, executor: Executor, relay: Relay) -> float:
        """Return how often a request waits for the database, on average."""
        before = relay.counted.value
        requests = self.measure(load, executor).requests
        return (relay.counted.value - before) / requests

    def measure_memory(self) -> Memory:
        """Return what a worker has on average: the largest processes are the workers."""
        infos = [process.memory_full_info() for process in self.find_processes()]
        workers = heapq.nlargest(self.workers, infos, key=lambda info: int(info.rss))
        # Only Linux tells the last.
        return Memory(*(mean(getattr(info, name, 0) for info in workers) / 2**20 for name in Memory._fields))


def read_cpu_seconds(process: psutil.Process) -> float:
    """Return what a process has computed so far."""
    if psutil.LINUX:
        # The clock of clock_getcpuclockid(3): it has nanoseconds, where the process table has hundredths of a second.
        return time.clock_gettime(~process.pid << 3 | 2)
    times = process.cpu_times()
    return times.user + times.system


def find_percentile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all do not exceed: the nearest rank."""
    return ascending[ceil(share * len(ascending)) - 1]


@contextmanager
def serving(urls: Mapping[str, str], workers: int) -> Iterator[dict[str, Service]]:
    """Serve each on its database until it is left: one that nobody asks costs nothing."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        services = {}
        for name, url in urls.items():
            port = find_free_port()
            command = [part.format(port=port, workers=workers, log=folder / "log") for part in KINDS[name].serve]
            environment = make_service_environment(url, PORT=str(port), WEB_CONCURRENCY=str(workers))
            process_id = stack.enter_context(running(command, environment, port))
            services[name] = Service(port, psutil.Process(process_id), workers)
        yield services


def make_service_environment(database_url: str, **settings: str) -> dict[str, str]:
    """Return what each of the three reads its settings from."""
    with_driver = urlsplit(database_url)._replace(scheme="postgresql+psycopg2").geturl()
    return make_environment(database_url, DATABASE_URL=with_driver, RATE_LIMIT=RATE_LIMIT, **settings)

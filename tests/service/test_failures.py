"""The service when other things fail: a log that nobody reads, full folders, few open files, a machine that sleeps."""

import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from tests.support.clusters import wait_until
from tests.support.commands import call, free_port, serve
from tests.support.containers import AVAILABLE
from tests.support.databases import SECRET, Database
from tests.support.logs import Line, Log


@pytest.fixture
def settings(database: Database) -> dict[str, str]:
    return {
        "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "PORT": str(free_port()), "HOST": "127.0.0.1",
        "WEB_CONCURRENCY": "2",
    }  # fmt: skip


class Pipe:
    """A pipe that nobody reads until ``read`` is called."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        self._text = ""
        self.as_stderr = ("sh", "-c", f'exec "$0" "$@" 2>{path}')

    def fill(self) -> None:
        with suppress(BlockingIOError):
            while True:
                os.write(self._writer, b" " * 4095 + b"\n")

    def read(self) -> list[Line]:
        """Return all complete lines since the pipe was filled."""
        with suppress(BlockingIOError):
            while part := os.read(self._reader, 2**20):
                self._text += part.decode()
        return [json.loads(line) for line in self._text.splitlines() if line.endswith("}")]

    def count(self, message: str) -> int:
        return [line["message"] for line in self.read()].count(message)


def ask(port: int, times: int) -> set[int]:
    with ThreadPoolExecutor(8) as pool:
        return set(pool.map(lambda _: call(port, "GET", "/nothing").status, range(times)))


def ask_and_stay(port: int, times: int, stack: ExitStack) -> None:
    """Send each request on a new connection, and leave it open."""
    for _ in range(times):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def read_metric(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def test_a_log_that_nobody_reads_stops_nothing(settings: dict[str, str], tmp_path: Path) -> None:
    port, metrics_port, pipe = int(settings["PORT"]), free_port(), Pipe(tmp_path / "pipe")
    settings |= {"METRICS_PORT": str(metrics_port)}
    with serve(port, settings=settings, prefix=pipe.as_stderr) as service:
        pipe.fill()
        assert ask(port, 100) == {404}
        assert call(port, "GET", "/healthz").status == 200
        wait_until(lambda: read_metric(metrics_port, "todo_log_lines_dropped_total") == 100)
        master = psutil.Process(service.pid)
        first = master.children()
        first[0].kill()  # The master writes too.
        wait_until(lambda: first[0] not in master.children() and len(master.children()) == 2)
        service.send_signal(signal.SIGHUP)
        wait_until(lambda: not {*first} & {*master.children()} and len(master.children()) == 2)
        assert ask(port, 100) == {404}
        before = pipe.count("request")
        wait_until(lambda: [line for line in pipe.read() if "missing" in line["message"]])
        assert ask(port, 100) == {404}
        wait_until(lambda: pipe.count("request") == before + 100)
    notes = [line["message"].split(" ", 1) for line in pipe.read() if "missing" in line["message"]]
    assert {rest for _, rest in notes} == {"lines are missing here, because the log could not be written"}
    assert sum(int(number) for number, _ in notes) >= 100


@pytest.mark.skipif(not AVAILABLE, reason="needs namespaces, to mount a small folder")
def test_a_full_temporary_folder_stops_neither_requests_nor_metrics(settings: dict[str, str], tmp_path: Path) -> None:
    port, metrics_port = int(settings["PORT"]), free_port()
    settings |= {"METRICS_PORT": str(metrics_port), "TMPDIR": str(tmp_path), "WEB_CONCURRENCY": "3"}
    mount = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=16k tmpfs {tmp_path}; exec "$0" "$@"')
    with serve(port, settings=settings, prefix=mount, log=tmp_path.parent / "log"):
        assert ask(port, 100) == {404}
        counted = 'todo_requests_total{method="GET",route="none",status="404"}'
        wait_until(lambda: read_metric(metrics_port, counted) == 100)
    assert (tmp_path.parent / "log").read_text().count("Booting worker") == 3


def test_with_few_files_idle_connections_are_closed_first(settings: dict[str, str], tmp_path: Path) -> None:
    port, log = int(settings["PORT"]), Log((tmp_path / "log").read_text)
    settings |= {"WEB_CONCURRENCY": "1"}
    limited = ("sh", "-c", 'ulimit -n 256; exec "$0" "$@"')
    with serve(port, settings=settings, prefix=limited, log=tmp_path / "log"), ExitStack() as stack:
        ask_and_stay(port, 300, stack)
    assert len([line for line in log.lines if "Booting worker" in line["message"]]) == 1
    [warning] = log.find(level="warning")
    assert warning["message"] == (
        "The limit of open files (ulimit -n) is 256, so each worker has at most 208 connections of"
        " clients, and closes idle ones early. Raise it to 948."
    )


def test_a_lack_of_files_costs_no_time_and_no_worker(settings: dict[str, str], tmp_path: Path) -> None:
    port, log = int(settings["PORT"]), Log((tmp_path / "log").read_text)
    settings |= {"WEB_CONCURRENCY": "1"}
    limited = ("sh", "-c", 'ulimit -n 64; exec "$0" "$@"')
    arguments = ("--worker-connections=900",)  # More than the limit of files allows.
    with serve(port, *arguments, settings=settings, prefix=limited, log=tmp_path / "log") as service:
        [worker] = psutil.Process(service.pid).children()
        with ExitStack() as stack:
            busy = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(80)]
            for client in busy:
                client.sendall(b"POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            before = worker.cpu_times().user
            time.sleep(1)
            assert worker.cpu_times().user - before < 0.4
        with ExitStack() as stack:
            ask_and_stay(port, 60, stack)
        assert worker.is_running()
    assert len(log.find(message="Connections cannot be accepted (Too many open files); idle ones are closed")) == 1


def test_a_pause_of_the_machine_ends_no_worker(settings: dict[str, str], tmp_path: Path) -> None:
    port, log = int(settings["PORT"]), Log((tmp_path / "log").read_text)
    with serve(port, settings=settings | {"WORKER_SECONDS": "2"}, log=tmp_path / "log") as service:
        master = psutil.Process(service.pid)
        wait_until(lambda: len(master.children()) == 2)
        workers = master.children()
        for process in (master, *workers):
            process.suspend()
        time.sleep(2.5)
        master.resume()
        time.sleep(0.5)
        for process in workers:
            process.resume()
        time.sleep(1)
        assert master.children() == workers
        assert call(port, "GET", "/healthz").status == 200
        workers[0].suspend()  # As if it hung.
        wait_until(lambda: workers[0] not in master.children())
    assert [line["message"] for line in log.find(level="critical")] == [f"WORKER TIMEOUT (pid:{workers[0].pid})"]

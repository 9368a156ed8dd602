"""The service when other things fail: a log that nobody reads, full folders, few open files, a machine that sleeps."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from tests.support.clusters import wait_until
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database
from tests.support.logs import Line


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
        assert ask(port, 100) == {404}
        wait_until(lambda: pipe.count("request") == before + 100)
    notes = [line["message"].split(" ", 1) for line in pipe.read() if "missing" in line["message"]]
    assert {rest for _, rest in notes} == {"lines are missing here, because the log could not be written"}
    assert sum(int(number) for number, _ in notes) >= 100

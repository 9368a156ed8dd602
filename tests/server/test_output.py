"""Writing to the log never waits: pipes and sockets that nobody reads, paused terminals, full disks."""

import json
import logging
import os
import pty
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest

from server.output import PIPE_BYTES, Output, write_if_ready, write_now

PADDING = "x" * 900


class Log:
    """An output to a file that the test can read. Its notes are objects with the field "missing"."""

    def __init__(self, writer: int, reader: int) -> None:
        self.writer, self.reader, self.drops = writer, reader, 0
        self.output = Output(lambda dropped: json.dumps({"missing": dropped}))
        self.output.handler = logging.StreamHandler(os.fdopen(writer, "w", closefd=False))
        self.output.on_drop = self.count

    def count(self) -> None:
        self.drops += 1

    def write(self, number: int, padding: str = PADDING) -> None:
        self.output.write(json.dumps({"number": number, "padding": padding}).encode() + b"\n")

    def fill(self) -> int:
        """Write lines until some are dropped, and nine more. Return how many were not dropped."""
        written = 0
        while not self.drops:
            self.write(written)
            written += 1
        for _ in range(9):
            self.write(-1)
        return written - 1

    def read(self) -> str:
        found = b""
        while select.select([self.reader], [], [], 0.05)[0] and (part := os.read(self.reader, 2**20)):
            found += part
        return found.decode().replace("\r", "")

    def close(self) -> None:
        self.output.close()
        for descriptor in (self.writer, self.reader):
            with suppress(OSError):
                os.close(descriptor)


def in_time(work: Callable[[], int]) -> int:
    """Call a function in another thread, which must not take longer than ten seconds."""
    results: list[int] = []
    thread = Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return results[0]


def make_pipe() -> Log:
    reader, writer = os.pipe()
    return Log(writer, reader)


def make_pipe_of_another_user(write: Callable[[int, bytes], int] = write_now) -> Log:
    """A pipe that cannot be opened again."""
    log = make_pipe()
    log.output._stream = log.output.handler.stream  # noqa: SLF001
    log.output._write = lambda data: write(log.writer, data)  # noqa: SLF001
    return log


def make_pipe_on_old_systems() -> Log:
    return make_pipe_of_another_user(write_if_ready)


def make_socket() -> Log:
    reader, writer = socket.socketpair()
    return Log(writer.detach(), reader.detach())


def make_terminal() -> Log:
    reader, writer = pty.openpty()
    return Log(writer, reader)


@pytest.fixture(params=[make_pipe, make_pipe_of_another_user, make_pipe_on_old_systems, make_socket, make_terminal])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    log: Log = request.param()
    yield log
    log.close()


def test_lines_that_nobody_reads_are_dropped_and_counted(log: Log) -> None:
    written = in_time(log.fill)
    text = log.read()
    log.write(-2)
    lines = [json.loads(line) for line in (text + log.read()).splitlines()]
    numbers = [line["number"] for line in lines if "number" in line]
    assert numbers[:written] == [*range(written)]
    assert numbers[-1] == -2
    missing = sum(line["missing"] for line in lines if "missing" in line)
    # A terminal may take a line while others are dropped.
    assert len(numbers) + missing == written + 11
    assert missing == log.drops >= 1


def test_lines_for_a_full_disk_or_a_reader_that_is_gone_are_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for log in (Log(writer, -1), Log(os.open("/dev/full", os.O_WRONLY), -1)):
        for number in range(3):
            log.write(number)
        assert log.drops == 3
        log.close()


def test_without_a_file_nothing_is_written_elsewhere() -> None:
    """A log file that cannot be reopened is closed; its descriptor may soon belong to a client."""
    log = make_pipe()
    log.write(0)
    stream, log.output.handler.stream = log.output.handler.stream, None
    os.close(log.writer)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    assert log.writer in {reader, writer}
    for number in (1, 2):
        log.write(number)
    assert log.drops == 2
    os.close(writer if log.writer != writer else reader)
    log.output.handler.stream = stream
    log.close()


def test_the_file_of_other_processes_still_blocks(log: Log) -> None:
    in_time(log.fill)
    assert os.get_blocking(log.writer)


def test_a_long_line_is_written_whole_or_not_at_all() -> None:
    """Another process could otherwise write into the middle of it."""
    log = make_pipe()
    while not log.drops:
        log.write(0, "x" * 60_000)
    text = log.read()
    assert {line[-1:] for line in text.splitlines()} == {"}"}
    assert len(text) > PIPE_BYTES / 3
    log.write(1, "x" * 2 * PIPE_BYTES)
    assert len(log.read()) > PIPE_BYTES / 2
    log.close()

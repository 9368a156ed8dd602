"""A relay before PostgreSQL, in a process of its own: it makes the database far away, and counts round trips.

What comes in on one side goes out on the other a fixed time later, however much is on its way meanwhile: a distance,
not a slow line. A round trip is a message that a client waits for an answer to: a simple Query or a Sync (chapter
"Message Flow" of PostgreSQL's manual).
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import NamedTuple

PIECE = 65536
WAITED_FOR = b"QS"


class Relay(NamedTuple):
    """Where a relay listens, and the round trips it has seen."""

    port: int
    counted: "Synchronized[int]"


class MessageCounter:
    """Counts the round trips in what a client sends, however it is cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0  # of the message that has begun
        self._kind_bytes = 0  # The first message, the startup packet, has no type.

    def feed(self, data: bytes) -> int:
        """Take the next piece; return how many messages began in it that are waited for."""
        self._buffer += data
        found = 0
        while True:
            skipped = min(self._skip, len(self._buffer))
            del self._buffer[:skipped]
            self._skip -= skipped
            head = self._kind_bytes + 4
            if self._skip or len(self._buffer) < head:
                return found
            found += self._buffer[0] in WAITED_FOR and self._kind_bytes == 1
            # The length counts itself, and not the type.
            self._skip = int.from_bytes(self._buffer[self._kind_bytes : head]) + self._kind_bytes
            self._kind_bytes = 1


@dataclass(eq=False)
class Line:
    """One direction of a connection: what came from the source waits here until it is due at the target."""

    source: socket.socket
    target: socket.socket
    counter: MessageCounter | None
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)


@contextmanager
def relaying(socket_path: Path, delay: float) -> Iterator[Relay]:
    """Relay to PostgreSQL's socket until it is left, each direction delayed by that many seconds."""
    context = get_context("spawn")
    counted = context.Value("q", 0)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=relay, args=(socket_path, delay, counted, sender), daemon=True)
    process.start()
    try:
        yield Relay(receiver.recv(), counted)
    finally:
        process.terminate()
        process.join()


def relay(socket_path: Path, delay: float, counted: "Synchronized[int]", ready: Connection) -> None:
    """Listen on a free port, tell which, and relay until the process is stopped."""
    # select() and not epoll, which waits in whole milliseconds.
    selector = selectors.SelectSelector()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        selector.register(listener, selectors.EVENT_READ)
        ready.send(listener.getsockname()[1])
        lines: set[Line] = set()
        while True:
            due = min((line.waiting[0][0] for line in lines if line.waiting), default=None)
            for key, _ in selector.select(None if due is None else max(0, due - time.perf_counter())):
                if key.data is None:
                    lines.update(connect(listener, socket_path, selector))
                elif not take(key.data, delay, counted):
                    selector.unregister(key.fileobj)
            for line in list(lines):
                if not deliver(line):
                    lines.discard(line)


def connect(listener: socket.socket, socket_path: Path, selector: selectors.BaseSelector) -> tuple[Line, Line]:
    """Accept a client and connect it: two lines."""
    client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = socket.socket(socket.AF_UNIX)
    server.connect(str(socket_path))
    lines = Line(client, server, MessageCounter()), Line(server, client, None)
    for line in lines:
        selector.register(line.source, selectors.EVENT_READ, line)
    return lines


def take(line: Line, delay: float, counted: "Synchronized[int]") -> bool:
    """Take what has come from the source, an end of file as nothing; return whether more may come."""
    data = b""
    with suppress(ConnectionError):
        data = line.source.recv(PIECE)
    line.waiting.append((time.perf_counter() + delay, data))
    if line.counter and data:
        with counted.get_lock():
            counted.value += line.counter.feed(data)
    return bool(data)


def deliver(line: Line) -> bool:
    """Send on what is due; return whether more may come."""
    now = time.perf_counter()
    while line.waiting and line.waiting[0][0] <= now:
        _, data = line.waiting.popleft()
        with suppress(OSError):
            if data:
                line.target.sendall(data)
            else:
                line.target.shutdown(socket.SHUT_WR)
        if not data:
            return False
    return True

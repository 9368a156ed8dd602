"""A relay between a service and PostgreSQL: it adds network latency and counts round trips.

Data leaves the relay a fixed time after it arrived. The bandwidth is not limited. Each simple Query and each Sync
message counts as a round trip, because a client waits for its response (PostgreSQL's manual, "Message Flow"). The relay
runs in a process of its own, so the benchmark's clients do not delay it.
"""

import asyncio
import selectors
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Relay:
    """A running relay: its port, and how many round trips it has seen as ``counter.value``."""

    port: int
    counter: Any

    def redirect(self, database_url: str) -> str:
        """Return the URL of the same database through the relay."""
        parts = urlsplit(database_url)
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{self.port}"
        return parts._replace(netloc=netloc, query="sslmode=disable&gssencmode=disable").geturl()


@contextmanager
def relaying(port: int, delay: float) -> Iterator[Relay]:
    """Relay to PostgreSQL's port while the context lasts. ``delay`` is in seconds, for each direction."""
    context = get_context("spawn")
    counter = context.Value("q", 0, lock=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = context.Process(target=run_relay, args=(listener, port, delay, counter), daemon=True)
        process.start()
        try:
            yield Relay(listener.getsockname()[1], counter)
        finally:
            process.terminate()
            process.join()


def run_relay(listener: socket.socket, port: int, delay: float, counter: Any) -> None:
    """Relay all connections until the process is terminated."""
    # asyncio's default selector, epoll, rounds delays up to whole milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    later = partial(loop.call_later, delay)

    async def connect(client_reader: StreamReader, client_writer: StreamWriter) -> None:
        # asyncio does this only for sockets that were created with IPPROTO_TCP. Without it, a list takes 40 ms longer.
        client_writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)

        async def relay_responses() -> None:
            with suppress(ConnectionError):
                while data := await server_reader.read(65536):
                    later(client_writer.write, data)
            later(client_writer.close)
            later(server_writer.close)

        async def relay_requests() -> None:
            async for message in read_messages(client_reader):
                counter.value += needs_response(message)
                later(server_writer.write, message)
            later(server_writer.write_eof)

        await asyncio.gather(relay_requests(), relay_responses())

    async def serve() -> None:
        server = await asyncio.start_server(connect, sock=listener)
        await server.serve_forever()

    loop.run_until_complete(serve())


async def read_messages(reader: StreamReader) -> AsyncIterator[bytes]:
    """Yield the messages of a client: a type of one byte, a length that counts itself, and a body."""
    type_bytes = 0  # The first message has no type.
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(type_bytes + 4)
            yield head + await reader.readexactly(int.from_bytes(head[type_bytes:]) - 4)
            type_bytes = 1


def needs_response(message: bytes) -> bool:
    """Return whether the client waits for a response to this message. The first message begins with a zero byte."""
    return message[0] in b"QS"

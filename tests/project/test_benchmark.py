"""The parts of the benchmark that could be wrong unnoticed: figures, network delay, counts."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.relay import needs_response, read_messages, relaying
from bench.report import Goal, Phase, Setting
from bench.services import Sample, find_percentile

DELAY = 0.02
STARTUP = struct.pack("!II", 8, 3 << 16)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1, 100)])
def test_a_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert find_percentile(range(1, 101), share) == value
    assert find_percentile([7], share) == 7


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    rounds = [
        {"list": {"ours": Sample(1, 1, 1, ours), "peer": Sample(1, 1, 1, peer)}}
        for ours, peer in ((100, 400), (300, 600), (200, 100))
    ]
    phase = Phase(Setting("", 1, 0, 3, 1), rounds, {})
    assert phase.find_ratio("list", "peer", "cpu_us") == 0.5
    assert phase.find_median("list", "ours", "cpu_us") == 200


@pytest.mark.parametrize(
    ("value", "exactly", "verdict"),
    [
        (1.0, False, "met"),
        (1.01, False, "within limit"),
        (2.0, False, "within limit"),
        (2.01, False, "MISSED"),
        (1.0, True, "met"),
        (0.95, True, "MISSED"),
        (1.05, True, "MISSED"),
    ],
)
def test_a_goal_is_met_up_to_its_bounds(value: float, exactly: bool, verdict: str) -> None:
    assert Goal("a figure", value, aim=1, limit=2, exactly=exactly).verdict == verdict


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_round_trips_are_counted_for_any_chunk_size(size: int) -> None:
    # A query that contains bytes of messages; an extended query, which waits only for Sync; Terminate.
    sent = STARTUP + message(b"p", b"QSQS") + message(b"Q", b"Q\0\0\0\4" * 3)
    sent += b"".join(message(kind, b"Q") for kind in (b"P", b"B", b"E")) + message(b"S", b"") + message(b"X", b"")

    async def count() -> int:
        reader = asyncio.StreamReader()

        async def feed() -> None:
            for start in range(0, len(sent), size):
                reader.feed_data(sent[start : start + size])
                await asyncio.sleep(0)
            reader.feed_eof()

        feeding = asyncio.create_task(feed())
        counted = sum([needs_response(message) async for message in read_messages(reader)])
        await feeding
        return counted

    assert asyncio.run(count()) == 2


@pytest.fixture
def echo() -> Iterator[Path]:
    """A server that sends back its input."""
    # A short path, because the path of a socket is limited to about 100 bytes.
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "echo"
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1024):
                    connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(10)


def test_the_relay_delays_without_throttling_and_counts(echo: Path) -> None:
    query = message(b"Q", b"SELECT 1")
    with relaying(echo, DELAY) as relay, socket.create_connection(("127.0.0.1", relay.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(STARTUP)
        assert client.recv(1024) == STARTUP  # The relay's process has started.
        started = time.perf_counter()
        for _ in range(20):
            client.sendall(query)
            time.sleep(DELAY / 20)
        sent = time.perf_counter()
        expected = query * 20
        received = b""
        while len(received) < len(expected):
            received += client.recv(1024)
        assert received == expected
        assert time.perf_counter() - started >= 2 * DELAY
        assert time.perf_counter() - sent < 20 * DELAY  # Sequential delays would add up to 40.
        assert relay.counter.value == 20
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""

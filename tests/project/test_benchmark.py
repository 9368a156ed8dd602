"""The parts of the benchmark that could be wrong unnoticed: figures, network delay, counts."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bench.clients import Load, User, make_requests
from bench.compare import restore, save
from bench.data import connect_app
from bench.postgres import Postgres, read_cpu_seconds
from bench.relay import needs_response, read_messages, relaying
from bench.report import Goal, Phase, Setting
from bench.services import Sample
from embedded import EmbeddedPostgres
from tests.support.clusters import server_of
from tests.support.databases import CITUS, Database
from todo.tasks import queries
from todo.tasks.schemas import NewTaskSchema

DELAY = 0.02
STARTUP = struct.pack("!II", 8, 3 << 16)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    rounds = [
        {"list": {"ours": Sample(1, 1, ours, 100), "peer": Sample(1, 1, peer, 50)}}
        for ours, peer in ((100, 400), (300, 600), (200, 100))
    ]
    phase = Phase(Setting("", 1, 0, 3, 1), rounds, {})
    assert phase.find_ratio("list", "peer", "service_us") == 0.5
    assert phase.find_median("list", "ours", "service_us") == 200
    assert phase.find_ratio("list", "peer", "total_us") == 400 / 650


def test_the_cpu_of_the_database_includes_ended_backends(tmp_path: Path) -> None:
    embedded = EmbeddedPostgres(tmp_path / "postgres")
    with closing(embedded), closing(embedded.connect()) as connection, connection.cursor() as cursor:
        postgres = Postgres(embedded.url(), 5432, server_of(embedded.path))
        before = postgres.read_cpu_seconds()
        cursor.execute("SELECT count(*) FROM generate_series(1, 1000000)")
        backend = psutil.Process(connection.info.backend_pid)
        used = read_cpu_seconds(backend)
        connection.close()
        backend.wait(10)
        assert used > 0.05
        assert postgres.read_cpu_seconds() - before > used - 0.03  # The kernel counts ended ones in hundredths.


def test_a_load_deletes_each_task_once() -> None:
    users = [User(token, range(start, start + 20)) for token, start in (("one", 1), ("two", 21))]
    requests = [list(make_requests(Load("delete", users, seed))) for seed in (1, 1, 2)]
    assert requests[0] == requests[1] != requests[2]
    assert len(requests[0]) == 40
    assert set(requests[0]) == set(requests[2])
    assert sum(b"Bearer one" in request for request in requests[0]) == 20


@pytest.mark.skipif(CITUS == "on", reason="the benchmarks measure a plain PostgreSQL")
def test_the_tasks_are_the_same_after_each_round(own_database: Database) -> None:
    url = own_database.url("super")
    with connect_app(url):
        kept, deleted = (queries.create_task("ada", NewTaskSchema().load({"title": title})) for title in ("a", "b"))
        own_database.run("UPDATE todo.tasks SET created_at = now() - interval '2 days'")
        save(url)
        tasks = own_database.run("SELECT * FROM todo.tasks ORDER BY id")
        for _ in range(2):
            queries.delete_task("ada", deleted.id)
            queries.create_task_once("ada", NewTaskSchema().load({"title": "c"}), "key")
            restore(url)
            assert own_database.run("SELECT * FROM todo.tasks ORDER BY id") == tasks
            assert own_database.run("SELECT * FROM todo.idempotency_keys") == []
        assert queries.get_task("ada", kept.id).title == "a"


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
def echo() -> Iterator[int]:
    """The port of a server that sends back its input."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1024):
                    connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_the_relay_delays_without_throttling_and_counts(echo: int) -> None:
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

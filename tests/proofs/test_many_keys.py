"""Creations with a key stay fast for a user with millions of keys and many tasks, whatever PostgreSQL knows of them."""

import time
from collections.abc import Iterator
from statistics import median

import pytest

from config import Settings
from tests.support.callers import Caller, read_task
from tests.support.databases import Database, Server, closing_pool
from todo import create_app

FILL = """
    INSERT INTO todo.idempotency_keys (user_id, key, fingerprint, task_id, created_at)
    SELECT %s, md5(n::text), '', n, now() - %s * interval '1 hour' FROM generate_series(1, %s) AS n
"""
TASKS = "INSERT INTO todo.tasks (user_id, title) SELECT %s, 'x' FROM generate_series(1, 200000)"
# Statistics by which each user has one key and one task, from before the others.
ONE_EACH = """
    ALTER TABLE todo.idempotency_keys SET (autovacuum_enabled = off);
    ALTER TABLE todo.tasks SET (autovacuum_enabled = off);
    INSERT INTO todo.tasks (user_id, title) SELECT 'user' || n, 'x' FROM generate_series(1, 10000) AS n;
    ANALYZE todo.tasks;
    INSERT INTO todo.idempotency_keys (user_id, key, fingerprint, task_id)
    SELECT 'user' || n, 'k', '', n FROM generate_series(1, 300000) AS n;
    ANALYZE todo.idempotency_keys
"""


@pytest.fixture(scope="module", params=["statistics of before", "statistics of after"])
def crowded(request: pytest.FixtureRequest, server: Server) -> Iterator[Database]:
    """A database with a million expired keys of Alice and 200,000 keys of Bob that are in use."""
    with server.database(migrated=True) as database:
        database.run(ONE_EACH)
        for user_id, hours, number in (("alice", 25, 1_000_000), ("bob", 1, 200_000)):
            database.run(FILL, (user_id, hours, number))
            database.run(TASKS, (user_id,))
        if request.param == "statistics of after":
            database.run("ANALYZE")
        yield database


def measure(caller: Caller, keys: int) -> list[float]:
    """Create tasks with keys and return the seconds of each."""
    seconds = []
    for number in range(keys):
        started = time.perf_counter()
        response = caller.post("/api/tasks", json={"title": "x"}, headers={"Idempotency-Key": f"key {number}"})
        seconds.append(time.perf_counter() - started)
        read_task(response, 201)
    return seconds


def test_millions_of_keys_cost_a_creation_nothing(crowded: Database) -> None:
    settings: Settings = crowded.settings("web")
    with closing_pool(create_app(settings)) as app:
        alice, bob, carol = (Caller(app.test_client(), settings, user_id) for user_id in ("alice", "bob", "carol"))
        usual = median(measure(carol, 100))
        expired, in_use = measure(alice, 100), measure(bob, 100)
    print(f"\nno keys {usual * 1000:.1f} ms, 1,000,000 expired {median(expired) * 1000:.1f} ms,"
          f" 200,000 in use {median(in_use) * 1000:.1f} ms")  # fmt: skip
    assert max(median(expired), median(in_use)) < 3 * usual + 0.005
    assert max(expired + in_use) < 1
    left = "SELECT count(*) FROM todo.idempotency_keys WHERE user_id = %s AND created_at < now() - interval '1 day'"
    assert crowded.run(left, ("alice",)) == [(1_000_000 - 2 * 100,)]
    assert crowded.run("SELECT count(*) FROM todo.idempotency_keys WHERE user_id = 'bob'") == [(200_000 + 100,)]

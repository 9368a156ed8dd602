"""A connection is opened within CONNECT_SECONDS, or the request gets a 503 then, whatever does not answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest

from config import Settings
from tests.support.callers import Caller, read_internal_problem, read_tasks
from tests.support.clusters import wait_until
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.silence import mute_server, silent_addresses
from tests.support.wire import Wire
from todo import create_app
from todo.database import opening
from todo.database.opening import Opener


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def count_attempts() -> int:
    return sum(thread.name == "connect" for thread in threading.enumerate())


def make_settings(url: str, seconds: int = 1) -> Settings:
    return Settings(better_auth_secret=SECRET, database_url=url, connect_seconds=seconds, rate_limit=None, threads=4)


def test_several_silent_hosts_are_503_in_time() -> None:
    with silent_addresses(3) as (hosts, port):
        settings = make_settings(f"postgresql://u@/d?host={','.join(hosts)}&port={port}", 2)
        with closing_pool(create_app(settings)) as app, ThreadPoolExecutor(4) as pool, within(3):
            callers = [Caller(app.test_client(), settings) for _ in range(4)]
            for response in pool.map(lambda caller: caller.get("/api/tasks"), callers):
                read_internal_problem(response, 503)


def test_a_mute_server_is_503_in_time() -> None:
    with mute_server() as port:
        settings = make_settings(f"postgresql://u@127.0.0.1:{port}/d")
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings)
            for path in ("/api/tasks", "/readyz", "/api/tasks"):
                with within(2):
                    assert caller.get(path).status_code == 503
            with within(0.5):
                assert caller.get("/healthz").status_code == 200


def test_a_silent_host_leaves_time_for_the_next(database: Database) -> None:
    with silent_addresses(1) as ([host], port), Wire(database.server.superuser_url) as wire:
        url = (
            f"postgresql://{database.role('owner')}:test@/{database.name}?host={host},127.0.0.1&port={port},{wire.port}"
        )
        settings = make_settings(f"{url}&sslmode=disable&gssencmode=disable", 4)
        with closing_pool(create_app(settings)) as app, within(4):
            assert Caller(app.test_client(), settings).titles() == []


def test_a_late_connection_serves_the_next_request(database: Database) -> None:
    wire = Wire(database.server.superuser_url)  # It accepts connections only inside the with block.
    # The URL's timeout is for each address, so the attempt may be late.
    settings = make_settings(f"{wire.settings(database).database_url}&connect_timeout=30")
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        for _ in range(3):
            with within(2):
                read_internal_problem(caller.get("/api/tasks"), 503)
            assert count_attempts() == 1
        with wire:
            read_tasks(caller.get("/api/tasks"))
            assert wire.connections == 1
            assert count_attempts() == 0


def test_a_late_connection_that_waited_long_is_not_used(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(database.server.superuser_url)
    opener = Opener(make_settings(f"{wire.settings(database).database_url}&connect_timeout=30"))
    with pytest.raises(psycopg2.OperationalError, match="did not answer within 1 s"):
        opener.open()
    monkeypatch.setattr(opening, "LATE_SECONDS", 0.1)
    with wire:
        wait_until(lambda: count_attempts() == 0)
        time.sleep(0.1)
        opener.open().close()
        assert wire.connections == 2


def test_a_connection_that_hangs_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen pooler accepts a connection, and never answers the first query."""
    monkeypatch.setattr(opening, "LATE_SECONDS", 2)
    with Wire(database.server.superuser_url) as wire:
        opener = Opener(make_settings(f"{wire.settings(database).database_url}&connect_timeout=0"))
        wire.drop_queries()
        with pytest.raises(psycopg2.OperationalError, match="did not answer within 1 s"):
            opener.open()
        wire.drop_queries(drop=False)
        time.sleep(1.5)
        opener.open().close()
        wait_until(lambda: count_attempts() == 0)
        assert wire.connections == 2


def test_a_refused_connection_is_503_at_once() -> None:
    settings = make_settings("postgresql://u@127.0.0.1:1/d", 60)
    with closing_pool(create_app(settings)) as app, within(2):
        read_internal_problem(Caller(app.test_client(), settings).get("/api/tasks"), 503)


def test_no_thread_to_connect_is_503(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    settings = database.settings()
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            read_internal_problem(caller.get("/api/tasks"), 503)
        read_tasks(caller.get("/api/tasks"))

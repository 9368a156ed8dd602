"""A lost, silent or refused database connection costs the user nothing, or one 503 in bounded time."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError

from tests.support.callers import Caller, read_internal_problem
from tests.support.databases import Database, closing_pool
from tests.support.wire import Wire
from todo import create_app
from todo.database import connections
from todo.database.isolation import administration
from todo.database.watchdog import Watchdog
from todo.extensions import db


def test_more_requests_than_connections_are_503_in_time(own_database: Database) -> None:
    settings = own_database.settings(threads=2, pool_seconds=1)
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        with app.app_context():
            busy = [db.engine.connect() for _ in range(2)]
        read_internal_problem(caller.get("/api/tasks"), 503)
        busy[0].close()
        assert caller.titles() == []


def test_a_read_only_replica_reads_and_answers_writes_with_503(own_database: Database) -> None:
    settings = own_database.settings()
    with closing_pool(create_app(settings)) as app:
        Caller(app.test_client(), settings, "alice").add()
    own_database.run(f"ALTER ROLE {own_database.role('web')} SET default_transaction_read_only = on")
    settings = own_database.settings("web")
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings, "alice")
        assert caller.titles() == ["Buy milk"]
        assert app.test_client().get("/readyz").status_code == 200
        read_internal_problem(caller.post("/api/tasks", json={"title": "x"}), 503)


@pytest.mark.parametrize(
    ("citus", "state", "replaced"),
    [
        *[("off", state, True) for state in ("25006", "57P01", "57P03", "08006")],
        *[("off", state, False) for state in ("57014", "53200")],
        ("on", "25006", True),
        ("on", "57P01", False),
    ],
)
def test_an_error_of_the_server_replaces_the_connection(
    own_database: Database, citus: str, state: str, replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops or became a reader, and proxies, can send such an error and keep the connection open.

    With CITUS=on, a worker that is away causes such errors, and the connection to the coordinator stays.
    """
    monkeypatch.setattr(connections, "YOUNG_SECONDS", 0.5)
    own_database.run(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.title = 'fail' THEN RAISE EXCEPTION USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER fail BEFORE INSERT ON todo.tasks FOR EACH ROW EXECUTE FUNCTION public.fail()"
    )
    with Wire(own_database.server.superuser_url) as wire:
        settings = replace(wire.settings(own_database), citus=citus)
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings)
            caller.add()
            time.sleep(connections.YOUNG_SECONDS)
            read_internal_problem(caller.post("/api/tasks", json={"title": "fail"}), 503)
            caller.add()
            assert wire.connections == 1 + replaced
            # A young connection is not replaced again.
            read_internal_problem(caller.post("/api/tasks", json={"title": "fail"}), 503)
            caller.add()
            assert wire.connections == 1 + replaced


def test_connections_closed_while_idle_cause_no_error(
    database: Database, settings: Any, make_caller: Callable[..., Caller]
) -> None:
    caller = make_caller()
    caller.add("before")
    killed = database.run(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        (database.name,),
    )
    assert killed
    assert caller.titles() == ["before"]


def test_silent_connections_delay_one_request_only(own_database: Database) -> None:
    with Wire(own_database.server.superuser_url) as wire:
        settings = replace(wire.settings(own_database), threads=4, statement_seconds=1)
        with closing_pool(create_app(settings)) as app, ThreadPoolExecutor(4) as pool:
            people = [Caller(app.test_client(), settings) for _ in range(4)]
            started = threading.Barrier(4)

            def add(person: Caller) -> None:
                started.wait()
                person.add()

            with own_database.transaction() as execute:
                execute("LOCK TABLE todo.tasks IN SHARE MODE")  # Makes all four connections open.
                adding = [pool.submit(add, person) for person in people]
                time.sleep(0.5)
            for each in adding:
                each.result()
            wire.silence()
            assert people[0].titles() == ["Buy milk"]  # A read is repeated on a new connection.
            begun = time.monotonic()
            list(pool.map(add, people))
            assert time.monotonic() - begun < 2.5


def test_connections_that_close_at_once_are_503(own_database: Database) -> None:
    settings = own_database.settings()

    def find_dead(*_: object) -> None:
        raise DisconnectionError

    with closing_pool(create_app(settings)) as app:
        with app.app_context():
            event.listen(db.engine, "checkout", find_dead)
        caller = Caller(app.test_client(), settings)
        read_internal_problem(caller.get("/api/tasks"), 503)
        with app.app_context():
            event.remove(db.engine, "checkout", find_dead)
        assert caller.titles() == []


def assert_watched(caller: Caller, wire: Wire) -> None:
    """A silent server costs a read one repetition on a new connection."""
    wire.silence()
    begun = time.monotonic()
    assert caller.titles() == []
    assert 1 < time.monotonic() - begun < 3


def test_statements_are_refused_while_no_watchdog_can_start(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Wire(own_database.server.superuser_url) as wire:
        settings = replace(wire.settings(own_database), statement_seconds=1)
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings)
            with app.app_context(), administration():
                pass  # Opens a connection, which needs a thread too.
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                for path in ("/api/tasks", "/readyz", "/api/tasks"):
                    assert caller.get(path).status_code == 503
            assert wire.connections == 1
            assert caller.titles() == []
            assert_watched(caller, wire)


def test_a_watchdog_that_ended_starts_again(own_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire(own_database.server.superuser_url) as wire:
        settings = replace(wire.settings(own_database), statement_seconds=1)
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings)
            with monkeypatch.context() as patch:
                patch.setattr(Watchdog, "_run", lambda watchdog: None)
                assert caller.titles() == []
            assert caller.titles() == []
            assert_watched(caller, wire)


def test_a_connection_that_was_idle_for_long_is_replaced(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall may have dropped it silently, and a write cannot be repeated."""
    assert connections.IDLE_SECONDS == 200
    monkeypatch.setattr(connections, "IDLE_SECONDS", 1)
    with Wire(own_database.server.superuser_url) as wire:
        settings = replace(wire.settings(own_database), statement_seconds=1)
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings)
            caller.add()
            time.sleep(0.6)
            caller.add()
            assert wire.connections == 1
            wire.silence()
            time.sleep(1.1)
            caller.add()
            assert wire.connections == 2


@pytest.mark.parametrize(("given", "idle_seconds"), [("", 60), ("&keepalives_idle=7", 7)])
def test_keepalives_are_sent_in_time(own_database: Database, given: str, idle_seconds: int) -> None:
    options = {
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): idle_seconds,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 10,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 30_000,
    }
    with Wire(own_database.server.superuser_url) as wire:
        settings = own_database.settings(database_url=f"{wire.settings(own_database).database_url}{given}")
        with (
            closing_pool(create_app(settings)) as app,
            app.app_context(),
            administration() as connection,
            socket.socket(fileno=socket.dup(connection.connection.fileno())) as tcp,
        ):
            assert {option: tcp.getsockopt(*option) for option in options} == options


def test_a_watch_does_not_end_another_on_the_same_descriptor() -> None:
    """A new connection can get the descriptor of a lost one before the lost one's watch ends."""
    watchdog, soon = Watchdog(), time.monotonic() + 0.1
    one, other = socket.socketpair()
    with one, other, watchdog.watch(one.fileno(), soon):
        with watchdog.watch(one.fileno(), soon):
            pass
        other.settimeout(5)
        assert other.recv(1) == b""

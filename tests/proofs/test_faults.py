"""Acknowledged writes are kept and failures reported in time, while real servers are killed, stopped and locked."""

import signal
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import psutil
import psycopg2
import pytest

from embedded import EmbeddedPostgres
from tests.support.clusters import ask, server_of, supervisor_of, wait_until
from tests.support.commands import call, free_port, run, serve
from tests.support.databases import SECRET
from tests.support.load import working_users


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """An embedded PostgreSQL, which restarts when it dies."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("faults") / "postgres")
    postgres.start()
    yield postgres
    postgres.close()


@pytest.fixture(scope="module")
def port(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a service with two workers."""
    port, log = free_port(), tmp_path_factory.mktemp("log") / "service.log"
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": postgres.url(), "RATE_LIMIT": "off"}
    assert run("flask", "db", "upgrade", settings=settings).returncode == 0
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "2", settings=settings, log=log) as service:
        MASTER.append(psutil.Process(service.pid))
        yield port


MASTER: list[psutil.Process] = []
END_ALL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE usename = current_user AND pid <> pg_backend_pid()"
)


def test_requests_succeed_without_faults(port: int) -> None:
    with working_users(port) as users:
        time.sleep(1)
    assert not any(503 in user.statuses for user in users)


def test_acknowledged_writes_survive_killed_workers(port: int) -> None:
    with working_users(port):
        for _ in range(5):
            MASTER[0].children()[0].kill()
            time.sleep(1)


def test_acknowledged_writes_survive_a_killed_postgresql(port: int, postgres: EmbeddedPostgres) -> None:
    with working_users(port):
        for _ in range(3):
            server_of(postgres.home.path).kill()
            time.sleep(3)
    assert call(port, "GET", "/readyz").status == 200


def test_acknowledged_writes_survive_synchronous_commit_off(port: int, postgres: EmbeddedPostgres) -> None:
    ask(postgres, "ALTER ROLE todo SET synchronous_commit = off")
    ask(postgres, END_ALL)
    assert ask(postgres, "SHOW synchronous_commit") == "off"
    with working_users(port):
        for _ in range(5):
            time.sleep(1)
            server = server_of(postgres.home.path)
            for process in [server, *server.children()]:
                with suppress(psutil.Error):
                    process.kill()
            time.sleep(2)
    ask(postgres, "ALTER ROLE todo RESET synchronous_commit")


def test_acknowledged_writes_survive_closed_connections(port: int, postgres: EmbeddedPostgres) -> None:
    with working_users(port):
        for _ in range(10):
            ask(postgres, END_ALL)
            time.sleep(0.3)


def test_the_service_recovers_from_a_full_postgresql(port: int, postgres: EmbeddedPostgres) -> None:
    with working_users(port) as users, closing(psycopg2.connect(postgres.url("postgres"))) as administrator:
        administrator.autocommit = True
        with administrator.cursor() as cursor:
            cursor.execute("ALTER ROLE todo CONNECTION LIMIT 0")
            cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'todo'")
            time.sleep(2)
            cursor.execute("ALTER ROLE todo CONNECTION LIMIT -1")
    assert all(503 in user.statuses for user in users)


def test_the_service_recovers_from_a_locked_table(port: int, postgres: EmbeddedPostgres) -> None:
    with working_users(port) as users:
        with postgres.connect() as connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLE todo.tasks")
            time.sleep(6)
        connection.close()
    assert any(503 in user.statuses for user in users)


def test_the_service_recovers_from_a_postgresql_outage(port: int, postgres: EmbeddedPostgres) -> None:
    with working_users(port) as users:
        supervisor_of(postgres.home.path).kill()  # The supervisor would restart the server at once.
        server_of(postgres.home.path).send_signal(signal.SIGINT)
        time.sleep(10)
        assert call(port, "GET", "/healthz").status == 200
        assert call(port, "GET", "/readyz").status == 503
        again = EmbeddedPostgres(postgres.home.path)
        again.start()
        wait_until(lambda: call(port, "GET", "/readyz").status == 200)
    again.close()
    assert all(503 in user.statuses for user in users)


def test_the_service_recovers_from_a_silent_postgresql(port: int, postgres: EmbeddedPostgres) -> None:
    """As when its machine stops or a proxy keeps connections open: nothing is refused and nothing arrives."""
    with working_users(port) as users:
        server = server_of(postgres.home.path)
        silent = [server, *server.children()]
        for process in silent:
            with suppress(psutil.Error):
                process.suspend()
        time.sleep(10)
        for process in silent:
            with suppress(psutil.Error):
                process.resume()
    assert any(503 in user.statuses for user in users)

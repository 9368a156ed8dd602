"""PgBouncer in transaction mode: nothing leaks between clients, and it may restart at any time."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from config import Settings
from tests.support.callers import Caller, read_task, read_tasks
from tests.support.commands import free_port, run, serve
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.load import working_users
from tests.support.pgbouncer import PROGRAM, Pooler, client, pooling
from todo import create_app
from todo.database.messages import is_pooled

pytestmark = pytest.mark.skipif(not PROGRAM, reason="PgBouncer is not installed")


@pytest.fixture
def single(database: Database) -> Iterator[Pooler]:
    """A PgBouncer with one server connection for each login."""
    with pooling(database, connections=1) as pooler:
        yield pooler


def settings_through(pooler: Pooler, database: Database) -> Settings:
    return database.settings(database_url=pooler.url(database, "web"))


def test_a_plain_set_leaks_on_a_shared_connection(single: Pooler, database: Database) -> None:
    """Proves that these clients share a connection: settings of the service would leak without its transactions."""
    url = single.url(database, "web")
    with client(url) as one, client(url) as other:
        one.execute("SET todo.user_id = 'alice'")
        other.execute("SHOW todo.user_id")
        assert other.fetchone() == ("alice",)


def test_the_service_leaves_nothing_on_a_shared_connection(single: Pooler, database: Database) -> None:
    settings = settings_through(single, database)
    with closing_pool(create_app(settings)) as app, client(single.url(database, "web")) as other:
        other.execute("SELECT pg_backend_pid(), current_user, current_setting('statement_timeout')")
        before = other.fetchone()
        alice = Caller(app.test_client(), settings)
        alice.add()
        other.execute("SELECT pg_backend_pid(), current_user, current_setting('statement_timeout')")
        assert other.fetchone() == before
        other.execute("SELECT coalesce(current_setting('todo.user_id', true), '')")
        assert other.fetchone() == ("",)


def test_services_on_one_connection_keep_users_apart(single: Pooler, database: Database) -> None:
    """Two processes with eight connections each share one connection of PgBouncer."""
    settings = settings_through(single, database)
    with ExitStack() as stack:
        apps = [stack.enter_context(closing_pool(create_app(settings))) for _ in range(2)]
        users = [Caller(app.test_client(), settings) for app in apps for _ in range(6)]

        def work(user: Caller) -> None:
            for number in range(25):
                task = user.add(str(number))
                assert read_task(user.get(f"/api/tasks/{task['id']}"))["user_id"] == user.user_id
                assert {each["user_id"] for each in read_tasks(user.get("/api/tasks"))} == {user.user_id}
            assert len(user.titles()) == 25

        with ThreadPoolExecutor(len(users)) as pool:
            list(pool.map(work, users))
        backends = database.run("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (database.role("web"),))
        assert backends == [(1,)]


def test_a_pooler_whose_server_does_not_answer_is_503_in_time(single: Pooler, database: Database) -> None:
    """It accepts the login, and keeps the first statements of a new worker waiting for two minutes."""
    settings = replace(settings_through(single, database), connect_seconds=1)
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        with client(single.url(database, "web")) as other:
            other.execute("BEGIN")
            other.execute("SELECT 1")  # Occupies the one connection of the server.
            for path in ("/api/tasks", "/readyz"):
                started = time.monotonic()
                assert caller.get(path).status_code == 503
                assert time.monotonic() - started < 2
            other.execute("COMMIT")
        assert caller.titles() == []


def test_a_pooler_that_is_not_recognized_is_noticed(single: Pooler, database: Database) -> None:
    """Two processes drop each other's prepared statements on the one connection of the server."""
    settings = settings_through(single, database)
    with ExitStack() as stack:
        apps = [stack.enter_context(closing_pool(create_app(settings))) for _ in range(2)]
        for app in apps:
            app.extensions["isolation"].messages.is_text = False
        writer = Caller(apps[0].test_client(), settings)
        reader = Caller(apps[1].test_client(), settings, writer.user_id)
        for number in range(3):
            writer.add(str(number))
            assert len(reader.titles()) == number + 1
        assert any(app.extensions["isolation"].messages.is_text for app in apps)


@pytest.mark.parametrize(
    ("host", "pooled"),
    [
        ("ep-cool-darkness-123456.us-east-2.aws.neon.tech", False),
        ("ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech", True),
        ("db.example.com", True),
    ],
)
def test_neon_names_its_pooler(single: Pooler, database: Database, host: str, pooled: bool) -> None:
    """Neon's proxy also hides the process ID of the server where it does not pool."""
    address = f"{single.url(database, 'web')}?host={host}&hostaddr=127.0.0.1"
    with client(address) as cursor:
        assert is_pooled(cursor) == pooled


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_service_survives_restarts_of_pgbouncer(
    signum: signal.Signals, empty_database: Database, tmp_path: Path
) -> None:
    """The migrations run through PgBouncer too, as with Neon's pooled URL."""
    with pooling(empty_database, connections=4) as pooler:
        settings = {
            "BETTER_AUTH_SECRET": SECRET,
            "NEON_DB_URL": pooler.url(empty_database, "owner"),
            "RATE_LIMIT": "off",
        }
        migrated = run("flask", "db", "upgrade", settings=settings)
        assert migrated.returncode == 0, migrated.stderr
        port = free_port()
        arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "2")
        with serve(port, *arguments, settings=settings, log=tmp_path / "log"), working_users(port) as users:
            for _ in range(3):
                pooler.stop(signum)
                time.sleep(0.5)
                pooler.start()
                time.sleep(2)
    assert sum(user.statuses[201] for user in users) > 50

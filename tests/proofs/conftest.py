"""Embedded PostgreSQL servers to mistreat, and a database with a million tasks."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import flask_migrate
import pytest

from embedded import EmbeddedPostgres
from tests.callers import Caller
from tests.clusters import servers_of
from tests.commands import run
from tests.proofs.million import BIG, ENRICH, FILL, Million, Reader, Writer
from tests.servers import SECRET, Server, closing_pool
from tests.wire import Wire
from todo import create_app


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A place of 200 characters with spaces: both have broken such servers."""
    parent = tmp_path
    while len(str(parent)) < 180:
        parent = parent / ("a long name" + "e" * min(150 - 11, max(1, 180 - len(str(parent)) - 11)))
    yield parent / 'in "stance", 1' / "postgres"
    for process in servers_of(parent):
        process.kill()


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    yield postgres
    postgres.close()


@pytest.fixture(scope="session")
def million(server: Server) -> Iterator[Million]:
    with server.database() as database:
        with create_app(database.settings()).app_context():
            flask_migrate.upgrade(revision="0001")
        database.run(f"GRANT todo_app TO {database.role('web')}")
        database.run(FILL, (BIG,))
        writer = Writer(database)
        thread = Thread(target=writer.write)
        thread.start()
        time.sleep(0.5)
        started = time.monotonic()
        upgraded = run("flask", "db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()})
        seconds = time.monotonic() - started
        writer.done.set()
        thread.join()
        assert upgraded.returncode == 0, upgraded.stderr
        yield Million(database, writer, seconds)


@pytest.fixture(scope="session")
def reader(server: Server, million: Million) -> Iterator[Reader]:
    million.database.run(ENRICH)
    million.database.run("VACUUM ANALYZE todo.tasks")
    with Wire(server.superuser_url) as wire:
        settings = wire.settings(million.database, "web")
        with closing_pool(create_app(settings)) as app:
            yield Reader(wire, Caller(app.test_client(), settings, BIG), million.database)

"""Embedded PostgreSQL servers, a database with a million tasks, and the frontend with its users."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from playwright.sync_api import Browser

from embedded import EmbeddedPostgres
from tests.support.callers import Caller
from tests.support.clusters import servers_of
from tests.support.commands import run
from tests.support.databases import SECRET, Server, closing_pool
from tests.support.frontend import Site, Visit, Visitor, chromium, install
from tests.support.million_tasks import ADD, BIG, COUNT, FILL, TRASH, Million, Reader, Writer
from tests.support.wire import Wire
from todo import create_app


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder with 200 characters and spaces in its path: both have broken such servers."""
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
        # As if an upgrade had been interrupted: most tasks have a UID already. To fill all would take a minute.
        database.run("ALTER TABLE todo.tasks ADD COLUMN uid uuid")
        database.run(FILL, (BIG,))
        writer = Writer(database)
        with writer.writing():
            started = time.monotonic()
            settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
            upgraded = run("flask", "db", "upgrade", settings=settings, seconds=180)
            seconds = time.monotonic() - started
        assert upgraded.returncode == 0, upgraded.stderr
        yield Million(database, writer, seconds)


@pytest.fixture(scope="session")
def reader(server: Server, million: Million) -> Iterator[Reader]:
    for statement in (ADD, TRASH):
        million.database.run(statement, (BIG,))
    million.database.run(COUNT)
    million.database.run("VACUUM ANALYZE todo.tasks, todo.trash, todo.feeds")
    with Wire(server.superuser_url) as wire:
        settings = wire.settings(million.database, "web")
        with closing_pool(create_app(settings)) as app:
            yield Reader(app, wire, Caller(app.test_client(), settings, BIG), million.database)


@pytest.fixture(scope="session")
def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    install()
    with server.database(migrated=True) as database:
        site = Site(database, tmp_path_factory.mktemp("frontend") / "outside.txt")
        site.prepare()
        with site.serve():
            yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Playwright for one module only, because it blocks other event loops while it runs."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    """Open a browser with its own profile. Every test checks for requests to other hosts and errors in the console."""
    visitors: list[Visitor] = []

    def visit(site: Site = site, **options: Any) -> Visitor:
        visitors.append(Visitor(site, browser.new_context(base_url=site.url, **options)))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.context.close()
        assert visitor.complaints == []
        assert visitor.hosts <= {f"localhost:{visitor.site.port}", f"localhost:{visitor.site.service_port}"}
        assert len(visitor.hosts) == 2


@pytest.fixture
def ada(visit: Visit) -> Visitor:
    ada = visit()
    ada.sign_up()
    return ada

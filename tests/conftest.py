"""The service under test: the real application on a real PostgreSQL with the real migrations.

PostgreSQL is the embedded one, or the server of TEST_DATABASE_URL (a superuser's URL), also the coordinator of a Citus
cluster. Users cannot see each other's rows, so each test takes a new user and cleans up nothing.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import make_url
from werkzeug.test import TestResponse

from config import Settings
from embedded import EmbeddedError, EmbeddedPostgres
from server.lines import JsonLines
from tests.support.callers import Caller
from tests.support.citus import find_server
from tests.support.databases import Database, Server, closing_pool
from tests.support.jwks_server import ISSUER, KEY, Ask, KeyServer, SigningKey
from tests.support.logs import Log
from tests.support.shadows import cast_shadows
from todo import create_app


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test that renames todo_app alone where the workers of pytest-xdist share a server."""
    if "TEST_DATABASE_URL" not in os.environ or "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    alone = "no_role" in getattr(item, "fixturenames", ())
    with (Path(gettempdir()) / f"todo-tests-{os.environ['PYTEST_XDIST_TESTRUNUID']}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return (yield)


@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Replace the fixture of pytest-flask, which shares flask.g between requests: a user could leak into the next."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if url := os.environ.get("TEST_DATABASE_URL"):
        with closing(find_server(make_url(url))) as server:
            yield server
        return
    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("embedded") / "postgres")
    try:
        embedded.start()
    except EmbeddedError as error:
        pytest.exit(f"{error} (for the tests: TEST_DATABASE_URL)", returncode=1)
    yield Server(make_url(embedded.url("postgres")))
    embedded.close()


@pytest.fixture(scope="session")
def database(server: Server) -> Iterator[Database]:
    with server.database(migrated=True) as database:
        yield database


@pytest.fixture
def own_database(server: Server) -> Iterator[Database]:
    """A migrated database that the test can break."""
    with server.database(migrated=True) as database:
        yield database


@pytest.fixture
def empty_database(server: Server) -> Iterator[Database]:
    """A database without migrations that the test can break."""
    with server.database() as database:
        yield database


@pytest.fixture
def shadow() -> Iterator[Callable[[Database], None]]:
    """Let another role put functions and operators into the search path of a database."""
    roles: list[tuple[Database, str]] = []
    yield lambda database: roles.append((database, cast_shadows(database)))
    for database, role in roles:
        database.run(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.fixture(scope="session")
def settings(database: Database) -> Settings:
    return database.settings()


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    with closing_pool(create_app(settings)) as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Replace the fixture of pytest-flask, which keeps a request context open until the next request, in any thread."""
    return app.test_client()


@pytest.fixture
def document(client: FlaskClient) -> Any:
    """The OpenAPI document, requested without a token."""
    response = client.get("/api/openapi.json")
    assert response.status_code == 200
    return response.json


@pytest.fixture
def make_caller(client: FlaskClient, settings: Settings) -> Callable[..., Caller]:
    """Return a client with the token of a new user, or of the given user id."""
    return lambda user_id=None: Caller(client, settings, user_id)


@pytest.fixture
def alice(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller()


@pytest.fixture
def bob(make_caller: Callable[..., Caller]) -> Caller:
    return make_caller()


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    with KeyServer(KEY) as keys:
        yield keys


@pytest.fixture
def jwks_app(database: Database, keys: KeyServer) -> Iterator[Flask]:
    """The application with public keys and without a secret."""
    settings = database.settings(better_auth_secret=None, jwks_url=keys.url, auth_origin=ISSUER)
    with closing_pool(create_app(settings)) as app:
        yield app


@pytest.fixture
def ask(jwks_app: Flask) -> Ask:
    """Request the tasks with a token that a key signs."""

    def ask(key: SigningKey = KEY, **claims: Any) -> TestResponse:
        token = key.sign(**claims)
        response = jwks_app.test_client().get("/api/tasks", headers={"Authorization": f"Bearer {token}"})
        assert token not in response.text
        return response

    return ask


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """The log, in the format that the service writes."""
    usual = caplog.handler.formatter
    caplog.handler.setFormatter(JsonLines(Settings()))
    yield Log(lambda: caplog.text)
    caplog.handler.setFormatter(usual)


@pytest.fixture
def fill(alice: Caller) -> None:
    """Give Alice five tasks, some with a due date and the others with a priority."""
    for number in range(5):
        alice.add(
            str(number), due_date=f"2026-12-0{9 - number}" if number % 2 else None, priority=["low", None][number % 2]
        )

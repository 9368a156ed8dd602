"""GET /healthz and /readyz"""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.callers import read_problem
from tests.servers import Database, Server
from todo import create_app
from todo.extensions import db


@pytest.fixture
def own(server: Server) -> Iterator[Database]:
    with server.database() as database:
        yield database


@pytest.fixture
def own_app(own: Database) -> Iterator[Flask]:
    app = create_app(own.settings())
    yield app
    with app.app_context():
        db.engine.dispose()


def test_the_process_is_up_without_any_database(own: Database) -> None:
    app = create_app(own.settings(database_url="postgresql+psycopg2://nobody@127.0.0.1:1/nothing"))
    response = app.test_client().get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    read_problem(app.test_client().get("/readyz"), 503)


def test_it_is_not_ready_before_the_migrations_and_ready_after(
    own: Database, own_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    response = own_app.test_client().get("/readyz")
    read_problem(response, 503)
    assert "Retry-After" in response.headers
    assert "run flask db upgrade" in caplog.text
    own.migrate()
    response = own_app.test_client().get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ready"})


@pytest.mark.parametrize("login", ["owner", "super", "web"])
def test_it_is_ready_for_every_login(own: Database, login: str) -> None:
    own.migrate()
    app = create_app(own.settings(login))
    assert app.test_client().get("/readyz").status_code == 200
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize(
    ("breach", "reason"),
    [
        ("ALTER TABLE todo.tasks DISABLE ROW LEVEL SECURITY", "todo.tasks is not bound"),
        ("DROP POLICY tasks_of_the_user ON todo.tasks", "todo.tasks is not bound"),
        ("CREATE POLICY all_see_all ON todo.tasks USING (true)", "todo.tasks is not bound"),
        ("CREATE TABLE todo.notes (user_id text)", "todo.notes is not bound"),
        ("GRANT UPDATE ON todo.tasks TO todo_app", "todo_app may change todo.tasks.user_id"),
        ("UPDATE todo.alembic_version SET version_num = '0000'", "the database is at migration 0000"),
        ("DROP TABLE todo.alembic_version", "the database is at migration None"),
    ],
)
def test_it_is_not_ready_when_users_are_not_kept_apart(
    own: Database, own_app: Flask, caplog: pytest.LogCaptureFixture, breach: str, reason: str
) -> None:
    own.migrate()
    own.run(breach)
    response = own_app.test_client().get("/readyz")
    read_problem(response, 503)
    assert reason in caplog.text
    assert reason not in response.text


def test_it_is_not_ready_when_the_login_may_not_become_the_role(
    own: Database, caplog: pytest.LogCaptureFixture
) -> None:
    own.migrate()
    own.run(f"REVOKE todo_app FROM {own.role('web')}")
    app = create_app(own.settings("web"))
    read_problem(app.test_client().get("/readyz"), 503)
    with app.app_context():
        db.engine.dispose()
    assert "may not become todo_app" in caplog.text or "permission denied" in caplog.text

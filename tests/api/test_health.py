"""GET /healthz and /readyz"""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.support.callers import read_problem
from tests.support.databases import Database, closing_pool
from todo import create_app


@pytest.fixture
def own_app(own_database: Database) -> Iterator[Flask]:
    with closing_pool(create_app(own_database.settings())) as app:
        yield app


def test_healthz_needs_no_database(database: Database) -> None:
    app = create_app(database.settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    response = app.test_client().get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    read_problem(app.test_client().get("/readyz"), 503)


def test_readyz_fails_before_the_migrations(empty_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with closing_pool(create_app(empty_database.settings())) as app:
        response = app.test_client().get("/readyz")
        read_problem(response, 503)
        assert "Retry-After" in response.headers
        assert "run flask db upgrade" in caplog.text
        empty_database.migrate()
        response = app.test_client().get("/readyz")
        assert (response.status_code, response.json) == (200, {"status": "ready"})


@pytest.mark.parametrize(
    "harmless",
    [
        "CREATE POLICY reports ON todo.tasks TO pg_read_all_data USING (true)",
        "CREATE POLICY none_on_sundays ON todo.tasks AS RESTRICTIVE USING (extract(dow FROM now()) < 7)",
        "CREATE VIEW todo.mine WITH (security_invoker = on) AS TABLE todo.tasks; GRANT ALL ON todo.mine TO todo_app",
        "CREATE VIEW todo.all AS SELECT * FROM todo.tasks",
        "CREATE SCHEMA shared; GRANT CREATE ON SCHEMA shared TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER ROLE {login} SET search_path = ''",
        "ALTER ROLE {login} SET quote_all_identifiers = on",
        "INSERT INTO todo.tasks (user_id, title) SELECT 'u', 't' FROM generate_series(1, 200); ANALYZE todo.tasks",
    ],
)
def test_readyz_accepts_what_does_not_weaken_isolation(own_database: Database, own_app: Flask, harmless: str) -> None:
    own_database.run(harmless.replace("{login}", own_database.role("owner")))
    assert own_app.test_client().get("/readyz").status_code == 200


@pytest.mark.parametrize("login", ["owner", "super", "web"])
def test_readyz_accepts_every_kind_of_login(own_database: Database, login: str) -> None:
    with closing_pool(create_app(own_database.settings(login))) as app:
        assert app.test_client().get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("breach", "reason"),
    [
        ("ALTER TABLE todo.tasks DISABLE ROW LEVEL SECURITY", "todo.tasks is not bound"),
        ("DROP POLICY tasks_of_the_user ON todo.tasks", "todo.tasks is not bound"),
        ("CREATE POLICY all_see_all ON todo.tasks USING (true)", "todo.tasks is not bound"),
        ("ALTER POLICY tasks_of_the_user ON todo.tasks WITH CHECK (true)", "todo.tasks is not bound"),
        ("CREATE TABLE todo.strangers (user_id text)", "todo.strangers is not bound"),
        ("GRANT TRUNCATE ON todo.tasks TO todo_app", "todo_app may truncate todo.tasks"),
        (
            "CREATE VIEW todo.all AS SELECT * FROM todo.tasks; GRANT SELECT ON todo.all TO todo_app",
            'todo."all" is a view',
        ),
        (
            "CREATE VIEW todo.all AS TABLE todo.tasks; GRANT DELETE ON todo.all TO todo_app",
            'todo."all" is a view',
        ),
        (
            "CREATE VIEW todo.all AS TABLE todo.tasks; GRANT SELECT (title) ON todo.all TO todo_app",
            'todo."all" is a view',
        ),
        ("GRANT UPDATE ON todo.tasks TO todo_app", "todo_app may change todo.tasks.user_id"),
        ("UPDATE todo.alembic_version SET version_num = '0003'", "the database is at migration 0003"),
        ("REVOKE INSERT ON todo.tasks FROM todo_app", "todo_app may not INSERT in todo.tasks"),
        ("REVOKE USAGE ON SCHEMA todo FROM todo_app", "todo_app may not use the schema todo"),
        ("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "todo_app may not use the language plpgsql"),
        ("REVOKE UPDATE (due_at) ON todo.tasks FROM todo_app", "todo_app may not UPDATE todo.tasks.due_at"),
        ("REVOKE ALL ON SEQUENCE todo.tasks_id_seq FROM todo_app", "todo_app may not use todo.tasks_id_seq"),
        ("DROP TABLE todo.alembic_version", "the database is at migration None"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "anyone may create objects in the schema public"),
        (
            "INSERT INTO todo.tasks (user_id, title) SELECT 'u', 't' FROM generate_series(1, 200);"  # noqa: ISC004
            " ANALYZE todo.tasks; SELECT setval('todo.tasks_id_seq', 20)",
            "todo.tasks_id_seq is behind the IDs of its table",
        ),
    ],
)
def test_readyz_fails_without_isolation_or_needed_rights(
    own_database: Database, own_app: Flask, caplog: pytest.LogCaptureFixture, breach: str, reason: str
) -> None:
    own_database.run(breach.replace("{login}", own_database.role("owner")))
    response = own_app.test_client().get("/readyz")
    read_problem(response, 503)
    assert reason in caplog.text
    assert reason not in response.text


@pytest.mark.parametrize(
    "faults",
    [
        {
            "ALTER TABLE todo.feeds DISABLE ROW LEVEL SECURITY": "todo.feeds is not bound",
            "ALTER POLICY trash_of_the_user ON todo.trash USING (true)": "todo.trash is not bound",
            "REVOKE UPDATE (change) ON todo.tasks FROM todo_app": "todo_app may not UPDATE todo.tasks.change",
            "REVOKE INSERT ON todo.feeds FROM todo_app": "todo_app may not INSERT in todo.feeds",
            "REVOKE DELETE ON todo.trash FROM todo_app": "todo_app may not DELETE in todo.trash",
        },
        {
            "DROP POLICY feeds_of_the_user ON todo.feeds": "todo.feeds is not bound",
            "ALTER TABLE todo.trash DISABLE ROW LEVEL SECURITY": "todo.trash is not bound",
            "GRANT UPDATE ON todo.trash TO todo_app": "todo_app may change todo.trash.user_id",
            "GRANT UPDATE (user_id) ON todo.feeds TO todo_app": "todo_app may change todo.feeds.user_id",
            "REVOKE UPDATE (floor) ON todo.feeds FROM todo_app": "todo_app may not UPDATE todo.feeds.floor",
            "ALTER TABLE todo.trash DROP COLUMN deleted_at": "todo.trash.deleted_at is not there",
        },
    ],
)
def test_the_log_names_each_fault_of_each_table(
    own_database: Database, own_app: Flask, caplog: pytest.LogCaptureFixture, faults: dict[str, str]
) -> None:
    own_database.run("; ".join(faults))
    read_problem(own_app.test_client().get("/readyz"), 503)
    assert [reason for reason in faults.values() if reason not in caplog.text] == []


def test_readyz_fails_if_the_login_cannot_become_todo_app(
    own_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    own_database.run(f"REVOKE todo_app FROM {own_database.role('web')}")
    with closing_pool(create_app(own_database.settings("web"))) as app:
        read_problem(app.test_client().get("/readyz"), 503)
    assert "may not become todo_app" in caplog.text

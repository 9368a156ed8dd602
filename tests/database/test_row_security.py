"""What the database enforces without the application's filters: row security, rights, and the guard before queries."""

import re
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from tests.support.callers import Caller
from tests.support.commands import ROOT
from tests.support.databases import Database
from tests.support.pages import read_changes
from todo.database import isolation
from todo.database.audit import list_tables
from todo.database.feeds import Feed
from todo.database.statements import Statement, row_of
from todo.extensions import db
from todo.tasks.models import Task, TrashedTask


@pytest.fixture
def as_user(app: Flask) -> Callable[..., Any]:
    """Run a statement as a user, without the application's queries."""

    def run(caller: Caller, statement: Any) -> Any:
        with app.app_context():
            return isolation.fetch(caller.user_id, Statement(statement), {})

    return run


def test_a_statement_without_a_filter_affects_only_own_rows(
    as_user: Callable[..., Any], alice: Caller, bob: Caller
) -> None:
    for caller, title in ((alice, "hers"), (bob, "his")):
        caller.add(title), caller.add_for("/trash/", title)
    for table in ("tasks", "trash"):
        assert as_user(bob, text(f"SELECT title FROM todo.{table}")) == [("his",)]
    assert as_user(bob, text("SELECT user_id FROM todo.feeds")) == [(bob.user_id,)]
    assert len(as_user(bob, update(Task).values(title="changed").returning(Task.id))) == 1
    assert len(as_user(bob, update(Feed).values(change=9).returning(Feed.change))) == 1
    for model in (Task, TrashedTask, Feed):
        assert len(as_user(bob, delete(model).returning(model.user_id))) == 1
    assert alice.titles() == ["hers"]
    assert [task["title"] for task in alice.get("/api/trash").get_json()] == ["hers"]
    assert [task["title"] for task in read_changes(alice)[0]] == ["hers"]


def test_a_row_cannot_change_its_owner(
    app: Flask, as_user: Callable[..., Any], alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for caller, title in ((alice, "hers"), (bob, "his")):
        caller.add(title), caller.add_for("/trash/", title)
    # PREPARE takes none of the statements that change tables.
    monkeypatch.setattr(app.extensions["isolation"].messages, "is_text", True)
    forbidden = [
        (insert(Task).values(user_id=alice.user_id, title="planted").returning(Task.id), "row-level security"),
        (update(Task).values(user_id=alice.user_id).returning(Task.id), "permission denied"),
        (insert(Feed).values(user_id="somebody").returning(Feed.change), "row-level security"),
        (insert(TrashedTask).values(user_id=alice.user_id, id=1, title="x").returning(TrashedTask.id), "row-level"),
        (update(Feed).values(user_id=alice.user_id).returning(Feed.change), "permission denied"),
        (update(TrashedTask).values(title="changed").returning(TrashedTask.id), "permission denied"),
        (text("UPDATE todo.tasks SET id = DEFAULT RETURNING id"), "permission denied"),
        (text("UPDATE todo.tasks SET uid = gen_random_uuid() RETURNING id"), "permission denied"),
        *((text(f"TRUNCATE {table}"), "permission denied") for table in list_tables()),
        *((text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"), "must be owner") for table in list_tables()),
        *((text(f"DROP TABLE {table}"), "must be owner") for table in list_tables()),
        (text("CREATE TABLE todo.other (user_id text)"), "permission denied"),
    ]
    for statement, reason in forbidden:
        with pytest.raises(ProgrammingError, match=reason):
            as_user(bob, statement)
    assert (alice.titles(), bob.titles()) == (["hers"], ["his"])
    assert [task["title"] for task in alice.get("/api/trash").get_json()] == ["hers"]


def test_a_statement_without_a_user_raises_before_it_is_sent(app: Flask) -> None:
    with app.app_context():
        refused: list[Callable[[], Any]] = [
            lambda: db.session.execute(text("SELECT pg_sleep(60)")),
            lambda: db.session.execute(select(Task)),
            lambda: db.engine.connect().execute(text("SELECT pg_sleep(60)")),
            lambda: db.engine.connect().exec_driver_sql("SELECT pg_sleep(60)"),
            lambda: db.engine.connect().execute(text("SELECT :n"), [{"n": 1}, {"n": 2}]),
            lambda: db.engine.connect().execution_options(stream_results=True).execute(text("SELECT 1")),
        ]
        for run in refused:
            with pytest.raises(isolation.NoUserError, match="without a user"):
                run()
        db.session.remove()


def test_only_the_isolation_module_uses_raw_cursors() -> None:
    """A raw cursor bypasses the guard of SQLAlchemy's events. One place uses it for users, and sets the user first."""
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "todo").rglob("*.py")}

    def find_users(pattern: str) -> set[str]:
        return {path for path, source in sources.items() if re.search(pattern, source)}

    assert find_users(r"connections\.use\(|driver_connection") == {"todo/database/isolation.py"}
    assert find_users(r"\.cursor\(") == {"todo/database/isolation.py", "todo/database/opening.py"}  # SELECT 1
    assert find_users(r"raw_connection") == {"todo/database/connections.py"}


def test_a_connection_keeps_no_state_of_a_user(app: Flask, as_user: Callable[..., Any], alice: Caller) -> None:
    as_user(alice, text("SELECT 1"))
    with app.app_context(), isolation.administration() as connection:
        row = connection.execute(
            text(
                "SELECT current_user = session_user, current_setting('todo.user_id', true),"
                " current_setting('statement_timeout')"
            )
        ).one()
    assert tuple(row) == (True, "", "0")


def test_a_connection_inside_a_transaction_is_not_reused(
    app: Flask, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.extensions["isolation"].messages, "is_text", True)  # PREPARE does not take BEGIN.
    with app.app_context():
        isolation.fetch(alice.user_id, Statement(text("BEGIN"), text("SELECT 1")), {})
        with isolation.administration() as connection:
            row = connection.execute(text("SELECT current_user = session_user, now() = statement_timestamp()")).one()
    assert tuple(row) == (True, True)


def test_every_table_with_a_user_id_has_row_security(database: Database) -> None:
    tables = database.run(
        """
        SELECT c.relname, c.relrowsecurity, (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
        WHERE c.relnamespace = 'todo'::regnamespace AND c.relkind IN ('r', 'p')
        """
    )
    models = [table.name for table in db.metadata.tables.values() if "user_id" in table.c]
    assert len(models) >= 4
    assert sorted(tables) == sorted((name, True, 1) for name in models)


def test_every_index_starts_with_the_user_id(database: Database) -> None:
    indexes = database.run(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'todo' AND tablename != 'alembic_version'"
    )
    assert len(indexes) > 10
    for name, definition in indexes:
        assert "(user_id" in definition, name


def test_a_login_that_owns_nothing_reads_no_rows(database: Database, alice: Caller) -> None:
    alice.add()
    with psycopg2.connect(database.url("web")) as connection, connection.cursor() as cursor:
        for table in list_tables():
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (0,)
    connection.close()


def test_rows_with_other_columns_than_declared_are_refused(app: Flask, alice: Caller) -> None:
    """A swapped column would put one field's value into another field."""
    task_id = alice.add("hers")["id"]
    swapped = Statement(text("SELECT title AS id, id AS title FROM todo.tasks"), row=row_of(Task, ["title", "id"]))
    with app.app_context(), pytest.raises(TypeError, match="'id', 'title'"):
        isolation.fetch(alice.user_id, swapped, {})
    right = Statement(text("SELECT title, id FROM todo.tasks"), row=row_of(Task, ["title", "id"]))
    with app.app_context():
        [row] = isolation.fetch(alice.user_id, right, {})
    assert (row.id, row.title) == (task_id, "hers")

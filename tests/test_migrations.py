"""Migrations: all or nothing, one at a time, in our schema only, and honest about what they may not do."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import flask_migrate
import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click import ClickException
from sqlalchemy import CheckConstraint

from tests.servers import SECRET, Database, Server
from tests.test_commands import flask
from todo import create_app
from todo.extensions import SCHEMA, db, include_name
from todo.isolation import administration
from todo.tasks.models import Task


@pytest.fixture
def own(server: Server) -> Iterator[Database]:
    with server.database() as database:
        yield database


def describe(database: Database) -> list[tuple[object, ...]]:
    """Everything in our schema: relations, columns, constraints, policies, rights."""
    return database.run(
        """
        SELECT c.relname, c.relrowsecurity, c.relacl::text, a.attname, a.attacl::text,
               format_type(a.atttypid, a.atttypmod),
               (SELECT array_agg(conname ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid),
               (SELECT array_agg(polname ORDER BY polname) FROM pg_policy WHERE polrelid = c.oid)
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = to_regnamespace('todo') ORDER BY c.relname, a.attnum
        """
    )


def test_the_models_and_the_migrations_say_the_same(own: Database) -> None:
    own.migrate()
    own.run("CREATE TABLE public.session (id text PRIMARY KEY)")  # Better Auth's, say.
    with create_app(own.settings()).app_context(), administration() as connection:
        options = {"include_schemas": True, "include_name": include_name, "version_table_schema": SCHEMA}
        context = MigrationContext.configure(connection, opts=options | {"compare_type": True})
        assert compare_metadata(context, db.metadata) == []
        db.metadata.tables["todo.tasks"].columns["title"].nullable = True
        try:
            assert compare_metadata(context, db.metadata) != []
        finally:
            db.metadata.tables["todo.tasks"].columns["title"].nullable = False


def test_the_rules_of_the_models_are_the_database_s(database: Database) -> None:
    declared = {
        (str(rule.name), str(rule.sqltext))
        for rule in Task.metadata.tables["todo.tasks"].constraints
        if isinstance(rule, CheckConstraint)
    }
    stored = database.run(
        "SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint"
        " WHERE conrelid = 'todo.tasks'::regclass AND contype = 'c'"
    )
    assert {name for name, _ in stored} == {name for name, _ in declared}
    for rule, column, value in (
        ("title", "title", "''"),
        ("title", "title", "repeat('x', 201)"),
        ("description", "description", "repeat('x', 1001)"),
        ("user_id", "user_id", "''"),
    ):
        values = {"user_id": "'u'", "title": "'t'", "description": "NULL"} | {column: value}
        with pytest.raises(psycopg2.errors.CheckViolation, match=f"tasks_{rule}_length"):
            database.run(f"INSERT INTO todo.tasks ({', '.join(values)}) VALUES ({', '.join(values.values())})")


def test_up_down_and_up_again_leads_to_the_same_place(own: Database) -> None:
    own.migrate()
    once = describe(own)
    with create_app(own.settings()).app_context():
        flask_migrate.downgrade(revision="base")
        assert own.run("SELECT to_regclass('todo.tasks')") == [(None,)]
        assert own.run("SELECT 1 FROM pg_roles WHERE rolname = 'todo_app'"), "the role may serve another database"
        flask_migrate.upgrade()
    assert describe(own) == once


def test_a_second_upgrade_changes_nothing(own: Database) -> None:
    own.migrate()
    once = describe(own)
    own.migrate()
    assert describe(own) == once


def test_other_tables_in_the_database_are_neither_met_nor_dropped(own: Database) -> None:
    own.run("CREATE TABLE public.tasks (id int, mine text)")
    own.run("INSERT INTO public.tasks VALUES (1, 'older')")
    own.migrate()
    with create_app(own.settings()).app_context():
        flask_migrate.downgrade(revision="base")
    assert own.run("SELECT * FROM public.tasks") == [(1, "older")]


def test_a_migration_that_fails_leaves_nothing_behind(own: Database) -> None:
    own.run("CREATE SCHEMA todo")
    own.run(f"ALTER SCHEMA todo OWNER TO {own.role('owner')}")
    # In the way of the last thing the migration makes: everything before it must be gone again.
    own.run(
        "CREATE FUNCTION todo.refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no policies today'; END $$"
    )
    own.run(
        "CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('CREATE POLICY') EXECUTE FUNCTION todo.refuse()"
    )
    with pytest.raises(Exception, match="no policies today"):
        own.migrate()
    assert describe(own) == []


def test_several_processes_may_migrate_at_once(own: Database) -> None:
    """They wait for each other: with the lock in other hands, none gets past it."""
    with ThreadPoolExecutor(3) as pool:
        with own.transaction() as run:
            run("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(b"todo", "big"),))
            upgrades = [
                pool.submit(flask, "db", "upgrade", BETTER_AUTH_SECRET=SECRET, NEON_DB_URL=own.url()) for _ in range(3)
            ]
            deadline = time.monotonic() + 20
            while run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != [(3,)]:
                assert time.monotonic() < deadline, "nobody waited"
                time.sleep(0.05)
            assert describe(own) == []
        done = [upgrade.result() for upgrade in upgrades]
    assert [process.returncode for process in done] == [0, 0, 0], done
    assert own.run("SELECT count(*) FROM todo.alembic_version") == [(1,)]


def test_who_may_not_set_up_the_role_is_told_what_an_administrator_must_run(own: Database) -> None:
    own.run(f"ALTER ROLE {own.role('owner')} NOCREATEROLE")
    own.run(f"REVOKE todo_app FROM {own.role('owner')}")
    with pytest.raises(ClickException) as caught:
        own.migrate()
    assert f"GRANT todo_app TO {own.role('owner')};" in caught.value.message
    assert "CREATE ROLE" not in caught.value.message
    assert describe(own) == []
    own.run(f"GRANT todo_app TO {own.role('owner')}")
    own.migrate()


def test_who_may_not_create_the_role_is_told_so_too(own: Database, database: Database) -> None:
    own.run(f"ALTER ROLE {own.role('owner')} NOCREATEROLE")
    own.run("ALTER ROLE todo_app RENAME TO todo_app_elsewhere")
    try:
        with pytest.raises(ClickException) as caught:
            own.migrate()
    finally:
        own.run("ALTER ROLE todo_app_elsewhere RENAME TO todo_app")
    assert "CREATE ROLE todo_app NOLOGIN;" in caught.value.message
    assert f"GRANT todo_app TO {own.role('owner')};" in caught.value.message


def test_who_may_create_the_role_does(own: Database, database: Database) -> None:
    own.run("ALTER ROLE todo_app RENAME TO todo_app_elsewhere")
    try:
        own.migrate()
        assert create_app(own.settings()).test_client().get("/readyz").status_code == 200
        with create_app(own.settings()).app_context():
            flask_migrate.downgrade(revision="base")
        own.run("DROP OWNED BY todo_app; DROP ROLE todo_app")
    finally:
        own.run("ALTER ROLE todo_app_elsewhere RENAME TO todo_app")


def test_a_database_in_another_encoding_is_refused(server: Server) -> None:
    name = "test_latin1"
    server.run(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        database = Database(server, name)
        settings = database.settings(
            database_url=server.superuser_url.set(drivername="postgresql+psycopg2", database=name).render_as_string(
                hide_password=False
            )
        )
        with create_app(settings).app_context(), pytest.raises(ClickException, match="UTF8"):
            flask_migrate.upgrade()
    finally:
        server.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_writing_sql_without_a_database_is_refused(own: Database) -> None:
    with create_app(own.settings()).app_context(), pytest.raises(ClickException, match="not supported"):
        flask_migrate.upgrade(sql=True)

"""Migrations: atomic, one at a time, only in the schema todo, and with clear errors about missing rights."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import RFC_4122, UUID

import flask_migrate
import psycopg2
import pytest
from click import ClickException
from sqlalchemy import CheckConstraint, text
from sqlalchemy.exc import OperationalError

from tests.support.clusters import wait_until
from tests.support.commands import ROOT, run, start
from tests.support.databases import SECRET, Database, Server, closing_pool
from todo import create_app
from todo.database.blockers import Watch
from todo.database.isolation import administration
from todo.extensions import db

WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"


def describe(database: Database) -> list[tuple[object, ...]]:
    """Return the schema todo: relations, columns, constraints, policies and rights."""
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


def test_models_and_migrations_agree(empty_database: Database) -> None:
    empty_database.migrate()
    empty_database.run("CREATE TABLE public.session (id text PRIMARY KEY)")  # For example a table of Better Auth.
    title = db.metadata.tables["todo.tasks"].columns["title"]
    with create_app(empty_database.settings()).app_context():
        flask_migrate.check()
        title.nullable = True
        try:
            with pytest.raises(SystemExit):
                flask_migrate.check()
        finally:
            title.nullable = False


def test_tables_in_the_logins_default_schema_are_found(empty_database: Database) -> None:
    """On the embedded PostgreSQL, login and schema have one name."""
    empty_database.migrate()
    empty_database.run(f"ALTER ROLE {empty_database.role('owner')} SET search_path = todo")
    with create_app(empty_database.settings()).app_context():
        flask_migrate.check()


def test_no_migration_rewrites_a_table(empty_database: Database) -> None:
    """A read that waits for a rewrite would find no rows: its snapshot is older than the new table."""
    empty_database.run(
        "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'rewrites %', pg_catalog.pg_event_trigger_table_rewrite_oid()::regclass; END $$;"
        " CREATE EVENT TRIGGER no_rewrite ON table_rewrite EXECUTE FUNCTION public.refuse()"
    )
    empty_database.migrate()
    with pytest.raises(psycopg2.errors.RaiseException, match="rewrites"):
        empty_database.run("ALTER TABLE todo.tasks ADD COLUMN token uuid DEFAULT gen_random_uuid()")


def test_the_database_enforces_the_constraints_of_the_models(database: Database) -> None:
    declared = {
        str(rule.name)
        for table in db.metadata.tables.values()
        for rule in table.constraints
        if isinstance(rule, CheckConstraint)
    }
    stored = database.run(
        "SELECT conname FROM pg_constraint WHERE connamespace = 'todo'::regnamespace AND contype = 'c'"
    )
    assert {name for (name,) in stored} == declared
    for rule, values in (
        ("tasks_title_length", {"title": "''"}),
        ("tasks_title_length", {"title": "repeat('x', 201)"}),
        ("tasks_description_length", {"description": "repeat('x', 1001)"}),
        ("tasks_user_id_length", {"user_id": "''"}),
        ("tasks_priority_known", {"priority": "'urgent'"}),
        ("tasks_tags_number", dict.fromkeys(("tags", "tags_folded"), "array_fill('x'::text, ARRAY[21])")),
        ("tasks_tags_folded_number", {"tags": "'{x}'"}),
        ("tasks_due_all_day_end", {"due_all_day": "true"}),
        ("tasks_due_all_day_end", {"due_all_day": "true", "due_at": "'2026-12-31T00:00:00Z'"}),
    ):
        row = {"user_id": "'u'", "title": "'t'"} | values
        with pytest.raises(psycopg2.errors.CheckViolation, match=rule):
            database.run(f"INSERT INTO todo.tasks ({', '.join(row)}) VALUES ({', '.join(row.values())})")


def test_a_downgrade_and_upgrade_restore_the_schema(empty_database: Database) -> None:
    empty_database.migrate()
    once = describe(empty_database)
    with create_app(empty_database.settings()).app_context():
        flask_migrate.downgrade(revision="base")
        assert empty_database.run("SELECT to_regclass('todo.tasks')") == [(None,)]
        assert empty_database.run("SELECT 1 FROM pg_roles WHERE rolname = 'todo_app'"), (
            "the role may serve another database"
        )
        flask_migrate.upgrade()
    assert describe(empty_database) == once


def test_existing_text_with_dotted_and_dotless_letters_is_found(empty_database: Database) -> None:
    """Earlier releases folded these letters in another way."""
    with create_app(empty_database.settings()).app_context():
        flask_migrate.upgrade(revision="0005")
    empty_database.run(
        "INSERT INTO todo.tasks (user_id, title, title_folded, description, tags, tags_folded) VALUES"
        " ('alice', 'İzmir', 'i\u0307zmir', NULL, '{İş}', '{i\u0307ş}'),"
        " ('alice', 'ısı', NULL, 'Kışın ısı', '{}', '{}'),"
        " ('bob', 'ﬁsh', 'fish', NULL, '{Ä}', '{ä}')"
    )
    empty_database.migrate()
    folded = "SELECT title_folded, description_folded, tags_folded FROM todo.tasks ORDER BY id"
    assert empty_database.run(folded) == [("izmir", None, ["iş"]), ("isi", "kişin isi", []), ("fish", None, ["ä"])]


def test_existing_tasks_get_random_uids(empty_database: Database) -> None:
    """More tasks than two batches have, of users whose IDs are sorted by bytes."""
    with create_app(empty_database.settings()).app_context():
        flask_migrate.upgrade(revision="0006")
        users = ["Ab", "aa", "b", "é", "\U0010ffff"]
        empty_database.run(
            "INSERT INTO todo.tasks (user_id, title)"
            " SELECT (%s::text[])[1 + n %% 5], 'x' FROM generate_series(1, 4100) AS n",
            (users,),
        )
        flask_migrate.upgrade()
    uids = [uid for (uid,) in empty_database.run("SELECT uid::text FROM todo.tasks")]
    assert len(set(uids)) == 4100
    assert {UUID(uid).version for uid in uids} == {4}
    assert {UUID(uid).variant for uid in uids} == {RFC_4122}
    assert sorted(empty_database.run("SELECT user_id FROM todo.feeds")) == [(user,) for user in users]


def test_a_second_upgrade_changes_nothing(empty_database: Database) -> None:
    empty_database.migrate()
    once = describe(empty_database)
    empty_database.migrate()
    assert describe(empty_database) == once


def test_tables_in_other_schemas_stay_unchanged(empty_database: Database) -> None:
    empty_database.run("CREATE TABLE public.tasks (id int, mine text)")
    empty_database.run("INSERT INTO public.tasks VALUES (1, 'older')")
    empty_database.migrate()
    with create_app(empty_database.settings()).app_context():
        flask_migrate.downgrade(revision="base")
    assert empty_database.run("SELECT * FROM public.tasks") == [(1, "older")]


def test_a_failed_migration_leaves_nothing_behind(empty_database: Database) -> None:
    empty_database.run("CREATE SCHEMA todo")
    empty_database.run(f"ALTER SCHEMA todo OWNER TO {empty_database.role('owner')}")
    # Fails at the last object that the migration creates, so everything before it must be rolled back.
    empty_database.run(
        "CREATE FUNCTION todo.refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no policies today'; END $$"
    )
    empty_database.run(
        "CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('CREATE POLICY') EXECUTE FUNCTION todo.refuse()"
    )
    with pytest.raises(Exception, match="no policies today"):
        empty_database.migrate()
    assert describe(empty_database) == []


def test_migrations_run_with_one_thread(empty_database: Database) -> None:
    with closing_pool(create_app(empty_database.settings(threads=1))) as app, app.app_context():
        flask_migrate.upgrade()
    assert empty_database.run("SELECT count(*) FROM todo.alembic_version") == [(1,)]


def test_concurrent_upgrades_wait_for_each_other(empty_database: Database) -> None:
    """While the test holds the advisory lock, no upgrade proceeds."""
    with ThreadPoolExecutor(3) as pool:
        with empty_database.transaction() as execute:
            execute("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(b"todo", "big"),))
            upgrades = [
                pool.submit(
                    run,
                    "flask",
                    "db",
                    "upgrade",
                    settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": empty_database.url()},
                )
                for _ in range(3)
            ]
            deadline = time.monotonic() + 20
            others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query = 'ROLLBACK'"
            while empty_database.run(others, (empty_database.name,)) == [(0,)]:
                assert time.monotonic() < deadline, "no statement waits for a lock"
                time.sleep(0.05)
            time.sleep(1)  # Time for slower processes, and for processes that share a connection in PgBouncer.
            assert describe(empty_database) == []
        done = [upgrade.result() for upgrade in upgrades]
    assert [process.returncode for process in done] == [0, 0, 0], done
    assert empty_database.run("SELECT count(*) FROM todo.alembic_version") == [(1,)]


def test_a_login_that_cannot_grant_the_role_gets_instructions(empty_database: Database) -> None:
    empty_database.run(f"ALTER ROLE {empty_database.role('owner')} NOCREATEROLE")
    empty_database.run(f"REVOKE todo_app FROM {empty_database.role('owner')}")
    with pytest.raises(ClickException) as caught:
        empty_database.migrate()
    assert f"GRANT todo_app TO {empty_database.role('owner')};" in caught.value.message
    assert "CREATE ROLE" not in caught.value.message
    assert describe(empty_database) == []
    empty_database.run(f"GRANT todo_app TO {empty_database.role('owner')}")
    empty_database.migrate()


@pytest.fixture
def no_role(database: Database) -> Iterator[None]:
    """The cluster without the role todo_app, which the migrations of ``database`` created."""
    database.run("ALTER ROLE todo_app RENAME TO todo_app_elsewhere")
    yield
    database.run("ALTER ROLE todo_app_elsewhere RENAME TO todo_app")


@pytest.mark.usefixtures("no_role")
def test_a_login_that_cannot_create_the_role_gets_instructions(empty_database: Database) -> None:
    empty_database.run(f"ALTER ROLE {empty_database.role('owner')} NOCREATEROLE")
    with pytest.raises(ClickException) as caught:
        empty_database.migrate()
    assert "CREATE ROLE todo_app NOLOGIN;" in caught.value.message
    assert f"GRANT todo_app TO {empty_database.role('owner')};" in caught.value.message


@pytest.mark.usefixtures("no_role")
def test_a_login_that_can_create_the_role_creates_it(empty_database: Database) -> None:
    empty_database.migrate()
    with closing_pool(create_app(empty_database.settings())) as app:
        assert app.test_client().get("/readyz").status_code == 200
    empty_database.run("DROP OWNED BY todo_app; DROP ROLE todo_app")


def test_a_database_in_another_encoding_is_refused(server: Server) -> None:
    name = f"test_{secrets.token_hex(6)}"
    server.run(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        database = Database(server, name)
        settings = database.settings(
            database_url=server.superuser_url.set(drivername="postgresql", database=name).render_as_string(
                hide_password=False
            )
        )
        with create_app(settings).app_context(), pytest.raises(ClickException, match="UTF8"):
            flask_migrate.upgrade()
    finally:
        server.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_offline_migrations_are_refused(empty_database: Database) -> None:
    with create_app(empty_database.settings()).app_context(), pytest.raises(ClickException, match="not supported"):
        flask_migrate.upgrade(sql=True)


def test_a_migration_retries_while_a_table_is_locked(empty_database: Database) -> None:
    with create_app(empty_database.settings()).app_context():
        flask_migrate.upgrade(revision="0001")
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": empty_database.url()}
    with ThreadPoolExecutor(1) as pool:
        with empty_database.transaction() as execute:
            execute("LOCK TABLE todo.tasks IN ACCESS SHARE MODE")
            upgrade = pool.submit(run, "flask", "db", "upgrade", settings=settings)
            wait_until(lambda: empty_database.run(WAITING, (empty_database.name,)), 40)
            wait_until(lambda: not empty_database.run(WAITING, (empty_database.name,)))
            assert empty_database.run("SELECT version_num FROM todo.alembic_version") == [("0001",)]
        upgraded = upgrade.result()
    assert upgraded.returncode == 0, upgraded.stderr
    assert "A table is in use. Trying again for" in upgraded.stderr


@pytest.mark.parametrize(
    ("revision", "statement", "lock"),
    [
        ("0001", "SELECT 'private' FROM todo.tasks", "Waiting for a lock of"),
        ("0004", "INSERT INTO todo.idempotency_keys VALUES ('private', 'k', '', 1)", "Waiting for a lock of"),
        ("0004", f"SELECT pg_advisory_xact_lock({int.from_bytes(b'todo', 'big')})", "Another migration runs in"),
    ],
    ids=["in a transaction", "outside a transaction", "another migration"],
)
def test_a_waiting_migration_names_the_session_it_waits_for(
    empty_database: Database, revision: str, statement: str, lock: str
) -> None:
    with create_app(empty_database.settings()).app_context():
        flask_migrate.upgrade(revision=revision)
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": empty_database.url()}
    with empty_database.transaction() as execute:
        execute("SET application_name = 'a report'")
        [(pid,)] = execute("SELECT pg_backend_pid()")
        execute(statement)
        with start("flask", "db", "upgrade", settings=settings) as upgrade:
            assert upgrade.stderr
            said = upgrade.stderr.readline()
            user = empty_database.server.superuser_url.username
            assert said.startswith(f"{lock} session {pid} (user {user}, application a report")
            assert "600 s" in said
            assert upgrade.poll() is None
            execute("ROLLBACK")
            rest = upgrade.communicate(timeout=30)[1]
    assert upgrade.returncode == 0, rest
    assert "private" not in said + rest


def test_a_wait_outside_a_transaction_ends(empty_database: Database) -> None:
    """flask db upgrade has a patience of ten minutes, and this test has one of a second."""
    empty_database.run("CREATE TABLE public.things (n int)")
    told: list[str] = []
    with (
        create_app(empty_database.settings("super")).app_context(),
        administration() as migration,
        administration() as observer,
        empty_database.transaction() as execute,
    ):
        execute("LOCK TABLE public.things")
        watch = Watch(observer, told.append, 1)
        watch.find_session(migration)
        with watch.running(), pytest.raises(OperationalError, match="canceling statement due to user request"):
            migration.execute(text("CREATE INDEX CONCURRENTLY slow ON public.things (n)"))
    assert watch.gave_up
    assert len(told) == 1


CALLS = """
from alembic import op

revision, down_revision = "calls", None


def upgrade() -> None:
    op.execute("SELECT unnest(ARRAY['a']), pg_sleep(0.5)")
    with op.get_context().autocommit_block():
        op.execute("SELECT unnest(ARRAY['a']), pg_sleep(0.5)")
        op.execute("SELECT pg_catalog.pg_sleep(0.5) -- Like CREATE INDEX CONCURRENTLY, it is sent alone.")
    op.execute("SELECT unnest(ARRAY['a']), pg_sleep(0.5)")
"""


def test_migrations_do_not_depend_on_defaults_of_the_role(
    empty_database: Database, shadow: Callable[[Database], None], tmp_path: Path
) -> None:
    shadow(empty_database)
    for setting in ("default_transaction_isolation = serializable", "statement_timeout = 300"):
        empty_database.run(f"ALTER ROLE {empty_database.role('owner')} SET {setting}")
    migrations = shutil.copytree(ROOT / "migrations", tmp_path / "migrations", ignore=lambda *_: ["versions"])
    (migrations / "versions").mkdir()
    (migrations / "versions" / "calls.py").write_text(CALLS)
    with create_app(empty_database.settings()).app_context():
        flask_migrate.upgrade(directory=str(migrations))
    assert empty_database.run("SELECT version_num FROM todo.alembic_version") == [("calls",)]
    assert empty_database.run("SELECT * FROM public.stolen") == []


def test_migrations_need_no_search_path(empty_database: Database) -> None:
    """deploy/roles.sql sets it to nothing for the owner."""
    empty_database.run(f"ALTER ROLE {empty_database.role('owner')} SET search_path = ''")
    empty_database.migrate()
    with create_app(empty_database.settings()).app_context():
        flask_migrate.check()

"""The upgrade of half a million tasks blocks no writes, cannot be blocked by autovacuum, and finishes completely."""

import flask_migrate
from sqlalchemy import make_url

from embedded import EmbeddedPostgres
from tests.support.clusters import wait_until
from tests.support.commands import run, start
from tests.support.databases import SECRET, Server
from tests.support.million_tasks import Million
from todo import create_app

SLOW_VACUUM = """
    ALTER TABLE todo.tasks SET (autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = 0,
                                autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
    INSERT INTO todo.tasks (user_id, title) SELECT 'u', repeat('x', 200) FROM generate_series(1, 20000)
"""
VACUUMS = "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'todo.tasks'::regclass"


def test_the_upgrade_does_not_block_writes(million: Million) -> None:
    slowest = max(million.writer.seconds)
    print(f"\nupgrade {million.upgrade_seconds:.1f} s, {len(million.writer.seconds)} writes, slowest {slowest:.3f} s")
    assert len(million.writer.seconds) > 200
    # A step that needs the table alone waits for an autovacuum for up to a second, and the writes wait with it.
    assert slowest < 2


def test_constraints_and_indexes_are_valid_after_the_upgrade(million: Million) -> None:
    run = million.database.run
    assert run("SELECT count(*) FROM pg_index WHERE indrelid = 'todo.tasks'::regclass AND indisvalid") == [(6,)]
    assert run("SELECT count(*) FROM pg_constraint WHERE conrelid = 'todo.tasks'::regclass AND NOT convalidated") == [
        (0,)
    ]
    unfolded = "SELECT count(*) FROM todo.tasks WHERE user_id <> 'writer' AND title ~ 'ÄRGER' AND title_folded IS NULL"
    assert run(unfolded) == [(0,)]
    assert run("SELECT count(*) FROM todo.tasks WHERE title_folded ~ 'ärger'") > [(5_000,)]


def test_every_task_has_its_own_uid_after_the_upgrade(million: Million) -> None:
    counts = "SELECT count(*), count(DISTINCT uid), count(*) FILTER (WHERE user_id = 'writer') FROM todo.tasks"
    [(number, uids, written)] = million.database.run(counts)
    assert number == uids >= 500_000 + written
    assert written > 50
    without = "SELECT count(*) FROM todo.tasks WHERE user_id NOT IN (SELECT user_id FROM todo.feeds)"
    assert million.database.run(without) == [(0,)]


def test_autovacuum_makes_way_for_the_upgrade(postgres: EmbeddedPostgres) -> None:
    server = Server(make_url(postgres.url("postgres")))
    server.run("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    server.run("SELECT pg_reload_conf()")
    with server.database() as database:
        with create_app(database.settings()).app_context():
            flask_migrate.upgrade(revision="0001")
        database.run(SLOW_VACUUM)
        wait_until(lambda: database.run(VACUUMS) != [], seconds=30)
        upgraded = run("flask", "db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()})
    assert upgraded.returncode == 0, upgraded.stderr


def test_an_upgrade_behind_a_lock_gives_up_after_a_minute(server: Server) -> None:
    with server.database() as database:
        with create_app(database.settings()).app_context():
            flask_migrate.upgrade(revision="0001")
        settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
        with database.transaction() as execute:
            execute("LOCK TABLE todo.tasks IN ACCESS SHARE MODE")
            [(pid,)] = execute("SELECT pg_backend_pid()")
            with start("flask", "db", "upgrade", settings=settings) as upgrade:
                _, said = upgrade.communicate()
        print(f"\n{said}")
        assert upgrade.returncode == 1
        *_, last = said.splitlines()
        assert last.startswith(f"Error: Gave up waiting for a lock of session {pid} (user ")
        assert database.run("SELECT version_num FROM todo.alembic_version") == [("0001",)]

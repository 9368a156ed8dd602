"""The upgrade of half a million tasks blocks no writes, cannot be blocked by autovacuum, and finishes completely."""

import time

import flask_migrate
from sqlalchemy import make_url

from embedded import EmbeddedPostgres
from tests.support.clusters import wait_until
from tests.support.commands import run, start
from tests.support.databases import SECRET, Server
from tests.support.million_tasks import Million, Reader, Writer
from todo import create_app

SLOW_VACUUM = """
    ALTER TABLE todo.tasks SET (autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = 0,
                                autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
    INSERT INTO todo.tasks (user_id, title) SELECT 'u', repeat('x', 200) FROM generate_series(1, 20000)
"""
# The newest migration of the previous release.
PREVIOUS = "0007"
VACUUMS = "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'todo.tasks'::regclass"


def test_the_upgrade_does_not_block_writes(million: Million) -> None:
    slowest = max(million.writer.seconds)
    print(f"\nupgrade {million.upgrade_seconds:.1f} s, {len(million.writer.seconds)} writes, slowest {slowest:.3f} s")
    assert len(million.writer.seconds) > 200
    # A step that needs the table alone waits for an autovacuum for up to a second, and the writes wait with it.
    assert slowest < 2


def test_constraints_and_indexes_are_valid_after_the_upgrade(million: Million) -> None:
    run = million.database.run
    assert run("SELECT count(*) FROM pg_index WHERE indrelid = 'todo.tasks'::regclass AND indisvalid") == [(7,)]
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


def test_a_million_tasks_go_back_a_release_and_forth_while_clients_write(reader: Reader) -> None:
    database, seconds = reader.database, []
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
    digest = "sum(hashtext(title || coalesce(due_at, created_at)))"
    tasks = f"SELECT count(*), {digest} FROM todo.tasks WHERE user_id <> 'writer'"
    before, writer = database.run(tasks), Writer(database)
    with writer.writing():
        for command in (["downgrade", PREVIOUS], ["upgrade"]):
            started = time.monotonic()
            migrated = run("flask", "db", *command, settings=settings)
            seconds.append(time.monotonic() - started)
            assert migrated.returncode == 0, migrated.stderr
    print(f"\n{seconds[0]:.1f} s back and {seconds[1]:.1f} s forth, slowest write {max(writer.seconds):.3f} s")
    assert len(writer.seconds) > 50
    assert max(writer.seconds) < 2
    assert database.run(tasks) == before > [(1_000_000, 0)]
    assert database.run("SELECT count(*) FROM todo.tasks WHERE num_nonnulls(recurrence, anchor, remind_at) > 0") == [
        (0,)
    ]
    invalid = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
    assert database.run(invalid) == []
    assert reader.caller.get("/readyz").status_code == 200
    recurring = reader.caller.add(due_date="2026-12-31", recurrence={"rule": "FREQ=DAILY"})
    assert reader.caller.patch(f"/api/tasks/{recurring['id']}/complete").get_json()["next_id"]

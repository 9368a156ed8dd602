"""Backup and restore with pg_dump and pg_restore, as docs/deploy.md describes."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from embedded.programs import find_programs
from tests.support.callers import Caller, operations_on_a_task, read_problem, read_task
from tests.support.commands import invoke
from tests.support.databases import SECRET, Database, Server, closing_pool
from tests.support.feeds import Device, read_place
from todo import create_app


@pytest.fixture
def restored(server: Server) -> Iterator[Database]:
    with server.database() as database:
        yield database


@pytest.fixture
def restored_again(server: Server) -> Iterator[Database]:
    with server.database() as database:
        yield database


@pytest.fixture
def run(server: Server) -> Callable[..., None]:
    """Run a program of the server's major version."""
    folders = [Path(f"/usr/lib/postgresql/{server.version}/bin")]
    if not os.environ.get("TEST_DATABASE_URL"):
        folders.append(find_programs(Path("/nowhere")))
    path = shutil.which("pg_restore", path=":".join(str(folder) for folder in folders))
    if path is None:
        pytest.skip(f"pg_dump of PostgreSQL {server.version} is not installed")

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run([Path(path).parent / program, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    return run


def test_a_restored_backup_has_all_tasks_and_keeps_users_apart(
    own_database: Database, restored: Database, run: Callable[..., None], tmp_path: Path
) -> None:
    settings = own_database.settings("web")
    with closing_pool(create_app(settings)) as app:
        people = [Caller(app.test_client(), settings) for _ in range(3)]
        tasks = [person.add(f"of {person.user_id}", tags=["home"], due_date="2026-12-31") for person in people]
        keyed = read_task(people[0].post("/api/tasks", json={"title": "x"}, headers={"Idempotency-Key": "k"}), 201)

    backup = str(tmp_path / "backup")
    run("pg_dump", "--format=custom", f"--file={backup}", own_database.url())
    run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={restored.url()}", backup)
    restored.run(f"GRANT todo_app TO {restored.role('web')}")

    settings = restored.settings("web")
    with closing_pool(create_app(settings)) as app:
        assert app.test_client().get("/readyz").status_code == 200
        again = [Caller(app.test_client(), settings, person.user_id) for person in people]
        for person, task in zip(again, tasks, strict=True):
            assert read_task(person.get(f"/api/tasks/{task['id']}")) == task
        replayed = again[0].post("/api/tasks", json={"title": "x"}, headers={"Idempotency-Key": "k"})
        assert read_task(replayed, 201) == keyed
        assert again[0].add("new")["id"] > keyed["id"]
        for method, path in operations_on_a_task(app):
            foreign = path.format(task_id=tasks[0]["id"], user_id=again[1].user_id)
            read_problem(again[1].call(method, foreign, json={"completed": True}), 404)
        assert restored.run("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'todo'") == [
            (restored.role("owner"),)
        ]
    with restored.transaction() as execute:
        execute("SET LOCAL ROLE todo_app")
        assert execute("SELECT count(*) FROM todo.tasks") == [(0,)]


@contextmanager
def serving(database: Database, user_id: str | None = None) -> Iterator[Caller]:
    """Serve a database, and give a client."""
    settings = database.settings("web")
    with closing_pool(create_app(settings)) as app:
        yield Caller(app.test_client(), settings, user_id)


def renew(database: Database, *options: str, login: str = "owner") -> Result:
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(login)}
    return invoke("after-restore", *options, settings=settings)


def test_ids_and_versions_never_come_back_after_a_restore(
    own_database: Database, restored: Database, restored_again: Database, run: Callable[..., None], tmp_path: Path
) -> None:
    """One backup is restored twice. Clients still have IDs and versions from before each restore."""
    backup = str(tmp_path / "backup")
    with serving(own_database) as alice:
        path = f"/api/tasks/{alice.add('kept')['id']}"
        run("pg_dump", "--format=custom", f"--file={backup}", own_database.url())
        tags = [alice.patch(path, json={"title": f"{number}"}).headers["ETag"] for number in range(3)]
        paths = [f"/api/tasks/{alice.add('later')['id']}" for _ in range(3)]
        device = Device(alice)
        device.sync()
    for database in (restored, restored_again):
        run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={database.url()}", backup)
        database.run(f"GRANT todo_app TO {database.role('web')}")
        assert renew(database).exit_code == 0
        with serving(database, alice.user_id) as alice:
            for number in range(3):
                paths.append(f"/api/tasks/{alice.add(f'new {number}')['id']}")
                tags.append(alice.patch(path, json={"title": f"{number}"}).headers["ETag"])
            new_paths, new_tag = paths[-3:], tags[-1]
            for tag in set(tags) - {new_tag}:
                read_problem(alice.patch(path, json={"title": "old"}, headers={"If-Match": tag}), 412)
            for old in set(paths) - set(new_paths):
                read_problem(alice.delete(old), 404)
            assert len(alice.titles()) == 4
            # The restored counter goes through the same numbers again.
            assert database.run("SELECT change FROM todo.feeds") >= [(read_place(str(device.cursor))[2],)]
            device.caller = alice
            device.expect_expiry()
            assert len(device.sync()) == 4
            assert alice.get(path).headers["ETag"] == new_tag
    assert len(set(tags)) == len(set(paths)) == 9
    assert max(int(path.split("/")[-1]) for path in paths) < 2**53, "JavaScript reads IDs as numbers"


def test_a_second_renewal_changes_only_ids_and_versions(own_database: Database) -> None:
    with serving(own_database) as alice:
        task = alice.add("hers", tags=["home"])
        for _ in range(2):
            done = renew(own_database)
            assert (done.exit_code, done.stderr.startswith(f"In the database {own_database.name}")) == (0, True)
            renewed = read_task(alice.get(f"/api/tasks/{task['id']}"))
            assert renewed == task | {"etag": renewed["etag"]}
        assert alice.add("new")["id"] > task["id"] + 10**15


@pytest.mark.parametrize(
    ("breach", "reason"),
    [
        ("UPDATE todo.tasks SET updated_at = now() + interval '1 minute'", "the clock of the database is behind"),
        ("UPDATE todo.tasks SET version = 9e15", "the clock of the database is behind"),
        ("SELECT setval('todo.tasks_id_seq', 9000000000000000)", "the clock of the database is behind"),
        ("UPDATE todo.alembic_version SET version_num = '0003'", "run flask db upgrade"),
    ],
)
def test_a_renewal_that_could_repeat_numbers_is_refused(own_database: Database, breach: str, reason: str) -> None:
    with serving(own_database) as alice:
        alice.add()
    own_database.run(breach)
    numbers = "SELECT last_value, (SELECT array_agg(version) FROM todo.tasks) FROM todo.tasks_id_seq"
    before = own_database.run(numbers)
    refused = renew(own_database)
    lines = refused.stderr.splitlines()
    assert (refused.exit_code, [line for line in lines if "In the database" not in line]) == (1, lines[-1:])
    assert reason in lines[-1].lower()
    assert own_database.run(numbers) == before


def test_a_renewal_needs_the_owner(own_database: Database) -> None:
    with serving(own_database) as alice:
        task = alice.add()
        refused = renew(own_database, login="web")
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 2)
        settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url("web")}
        refused = invoke("feed", "renew", settings=settings)
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert alice.get(f"/api/tasks/{task['id']}").headers["ETag"] == task["etag"]


def test_imported_dates_in_the_future_do_not_prevent_a_renewal(own_database: Database) -> None:
    with serving(own_database) as alice:
        alice.add()
    own_database.run("UPDATE todo.tasks SET updated_at = now() + interval '1 year'")
    assert "--trust-clock" in renew(own_database).stderr
    assert renew(own_database, "--trust-clock").exit_code == 0

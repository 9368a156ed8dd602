"""Backup and restore with pg_dump and pg_restore, as docs/deploy.md describes."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded.programs import find_programs
from tests.support.callers import Caller, operations_on_a_task, read_problem, read_task
from tests.support.databases import Database, Server, closing_pool
from todo import create_app


@pytest.fixture
def restored(server: Server) -> Iterator[Database]:
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
            read_problem(again[1].call(method, foreign, json={"title": "mine"}), 404)
        assert restored.run("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'todo'") == [
            (restored.role("owner"),)
        ]
    with restored.transaction() as execute:
        execute("SET LOCAL ROLE todo_app")
        assert execute("SELECT count(*) FROM todo.tasks") == [(0,)]

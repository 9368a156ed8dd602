"""flask user: export, import and delete the data of one user without touching other users."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from tests.support.callers import Caller, read_problem, read_task, read_tasks
from tests.support.commands import invoke
from tests.support.databases import SECRET, Database, closing_pool, wait_for_a_lock
from tests.support.pages import walk
from todo import create_app
from todo.tasks.portability import delete_everything, import_tasks

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def web_app(database: Database) -> Iterator[Flask]:
    """The application as production should run it: its database login owns nothing."""
    with closing_pool(create_app(database.settings("web"))) as app:
        yield app


@pytest.fixture
def flask_user(web_app: Flask) -> Run:
    """Run ``flask user``. ``answer`` is its standard input."""
    runner = web_app.test_cli_runner()
    return lambda *arguments, answer="": runner.invoke(args=["user", *arguments], input=answer)


def without_ids(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in task.items() if name not in {"id", "user_id", "etag"}} for task in tasks]


def fill(caller: Caller) -> list[dict[str, Any]]:
    """Add tasks of all kinds and return them as listed."""
    caller.add("plain")
    caller.add("rich", description='two\n"lines"', priority="low", tags=["Über", "買"], due_date="2026-12-31")
    done = caller.add("done", due_date="2026-12-31T17:00:00.5+05:00")
    caller.patch(f"/api/tasks/{done['id']}/complete")
    return read_tasks(caller.get("/api/tasks"))


def test_an_import_of_an_export_restores_the_same_tasks(
    flask_user: Run, alice: Caller, bob: Caller, tmp_path: Path
) -> None:
    alice.add_for("/trash/", "gone")
    tasks = fill(alice)
    bob.add("his")
    trash: Any = alice.get("/api/trash").json
    exported = flask_user("export", alice.user_id)
    assert exported.exit_code == 0, exported.stderr
    assert exported.stderr == "Exported 3 tasks, and 1 in the trash.\n"
    document = json.loads(exported.stdout)
    assert document == {"user_id": alice.user_id, "tasks": tasks[::-1], "trash": trash}
    assert [task["title"] for task in trash] == ["gone"]
    file = tmp_path / "export.json"
    file.write_text(exported.stdout)

    deleted = flask_user("delete", alice.user_id, "--yes")
    assert (deleted.exit_code, deleted.stderr) == (0, "Deleted 4 tasks.\n")
    assert alice.titles() == []
    assert alice.get("/api/trash").json == []

    imported = flask_user("import", alice.user_id, str(file))
    assert (imported.exit_code, imported.stderr) == (0, "Imported 3 tasks.\n")
    assert without_ids(read_tasks(alice.get("/api/tasks"))) == without_ids(tasks)
    assert read_tasks(alice.get("/api/tasks?search=ÜBER")) == []
    assert [task["title"] for task in read_tasks(alice.get("/api/tasks?tag=ÜBER"))] == ["rich"]
    assert bob.titles() == ["his"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_export_saved_by_a_shell_of_windows_is_imported(
    flask_user: Run, alice: Caller, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "export.json").write_text(json.dumps({"tasks": []}), encoding=encoding)
    imported = flask_user("import", alice.user_id, str(tmp_path / "export.json"))
    assert (imported.exit_code, imported.stderr) == (0, "Imported 0 tasks.\n")


def test_an_export_has_more_tasks_than_one_page(flask_user: Run, alice: Caller, database: Database) -> None:
    database.run(
        "INSERT INTO todo.tasks (user_id, title) SELECT %s, n::text FROM generate_series(1, 2500) n", (alice.user_id,)
    )
    exported = json.loads(flask_user("export", alice.user_id).stdout)
    assert [task["title"] for task in exported["tasks"]] == [str(number) for number in range(1, 2501)]


def test_an_imported_task_was_not_changed_in_the_future(flask_user: Run, alice: Caller) -> None:
    """The time of a change never goes back, and the year 10000 could not be written."""
    task = alice.add()
    exported = json.dumps({"tasks": [task | {"updated_at": "9999-12-31T23:59:59.999999Z"}]})
    assert flask_user("import", alice.user_id, "-", "--add", answer=exported).exit_code == 0
    [imported, _] = read_tasks(alice.get("/api/tasks"))
    changed = read_task(alice.patch(f"/api/tasks/{imported['id']}", json={"title": "new"}))
    assert task["updated_at"] < imported["updated_at"] < changed["updated_at"] < "9999"


def test_imported_tasks_are_listed_by_the_time_of_their_creation(flask_user: Run, alice: Caller) -> None:
    alice.add("today")
    times = [("2025", "last year"), ("2026", "this year"), ("2024", "before")]
    tasks = [
        {"title": title, "completed_at": None} | dict.fromkeys(("created_at", "updated_at"), f"{year}-01-01T00:00:00Z")
        for year, title in times
    ]
    assert flask_user("import", alice.user_id, "-", "--add", answer=json.dumps({"tasks": tasks})).exit_code == 0
    expected = ["today", "this year", "last year", "before"]
    assert alice.titles() == expected
    assert walk(alice, "/api/tasks?sort=created&order=asc&limit=1") == [[title] for title in reversed(expected)]


def test_a_second_import_needs_the_add_option(flask_user: Run, alice: Caller) -> None:
    fill(alice)
    exported = flask_user("export", alice.user_id).stdout
    again = flask_user("import", alice.user_id, "-", answer=exported)
    assert again.exit_code == 1
    assert again.stderr == f"Error: {alice.user_id} has tasks already; --add puts these beside them.\n"
    assert len(alice.titles()) == 3
    assert flask_user("import", alice.user_id, "-", "--add", answer=exported).exit_code == 0
    assert len(alice.titles()) == 6


def test_concurrent_imports_store_the_tasks_once(web_app: Flask, alice: Caller) -> None:
    times = {"created_at": datetime.now(UTC), "updated_at": datetime.now(UTC), "completed_at": None}
    tasks = [{"title": str(number), **times} for number in range(500)]
    together = Barrier(4)

    def store() -> bool:
        with web_app.app_context():
            together.wait()
            return import_tasks(alice.user_id, tasks, add=False)

    with ThreadPoolExecutor(4) as pool:
        stored = [future.result() for future in [pool.submit(store) for _ in range(4)]]
    assert sorted(stored) == [False, False, False, True]
    assert len(alice.titles()) == 500


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": ""}, "task 2: title: Must have 1 to 200 characters after trimming, not 0."),
        ({"due_date": "2026-12-31T17:00:00"}, "task 2: due_date: Must have an offset from UTC"),
        ({"created_at": "yesterday"}, "task 2: created_at: Not a valid datetime."),
        ({"created_at": "0001-01-01T00:00:00+05:00"}, "task 2: created_at: Not a valid datetime."),
        ({"completed_at": "9999-12-31T23:59:59-05:00"}, "task 2: completed_at: Not a valid datetime."),
        ({"title": "a\x00"}, "task 2: title: Has U+0000"),
        ({"completed": True}, "task 2: completed: Contradicts completed_at."),
    ],
)
def test_an_import_with_an_invalid_task_stores_nothing(
    flask_user: Run, alice: Caller, bob: Caller, change: dict[str, Any], reason: str
) -> None:
    fill(alice)
    document = json.loads(flask_user("export", alice.user_id).stdout)
    document["tasks"][1] |= change
    refused = flask_user("import", bob.user_id, "-", answer=json.dumps(document))
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: {reason}")
    assert bob.titles() == []


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"tasks": 1}', '{"tasks": ["x"]}', '{"tasks": [{"title":'])
def test_an_import_of_another_file_prints_one_line(flask_user: Run, bob: Caller, text: str) -> None:
    refused = flask_user("import", bob.user_id, "-", answer=text)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: ")
    assert "_schema" not in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_delete_asks_to_type_the_user_id(flask_user: Run, alice: Caller) -> None:
    alice.add()
    for answer in ("", "y\n", f"{alice.user_id}x\n"):
        assert flask_user("delete", alice.user_id, answer=answer).exit_code == 1
        assert alice.titles() == ["Buy milk"]
    assert flask_user("delete", alice.user_id, answer=f"{alice.user_id}\n").exit_code == 0
    assert alice.titles() == []


def test_delete_removes_the_user_from_every_table(
    flask_user: Run, alice: Caller, bob: Caller, database: Database
) -> None:
    def count(user_id: str) -> dict[str, int]:
        tables = database.run(
            "SELECT DISTINCT table_name FROM information_schema.columns"
            " WHERE table_schema = 'todo' AND column_name = 'user_id'"
        )
        return {
            table: database.run(f"SELECT count(*) FROM todo.{table} WHERE user_id = %s", (user_id,))[0][0]
            for (table,) in tables
        }

    for caller in (alice, bob):
        response = caller.post("/api/tasks", json={"title": "once"}, headers={"Idempotency-Key": "key"})
        assert response.status_code == 201
        caller.add_for("/trash/")
    one_each = dict.fromkeys(("tasks", "idempotency_keys", "feeds", "trash"), 1)
    assert count(alice.user_id) == count(bob.user_id) == one_each
    assert flask_user("delete", alice.user_id, "--yes").exit_code == 0
    assert count(alice.user_id) == dict.fromkeys(one_each, 0)
    assert count(bob.user_id) == one_each
    read_problem(alice.get("/api/tasks/1"), 404)


def test_a_deletion_and_a_creation_with_a_key_never_deadlock(web_app: Flask, alice: Caller, database: Database) -> None:
    """The creation deletes old keys. The deletion deletes them too, and it comes first."""
    for key in ("1", "2"):
        alice.post("/api/tasks", json={"title": key}, headers={"Idempotency-Key": key})
    database.run("UPDATE todo.idempotency_keys SET created_at = now() - interval '2 days'")

    def delete() -> int:
        with web_app.app_context():
            return delete_everything(alice.user_id)

    with ThreadPoolExecutor(2) as pool:
        with database.transaction() as execute:
            execute("SELECT FROM todo.feeds WHERE user_id = %s FOR UPDATE", (alice.user_id,))
            deletion = pool.submit(delete)
            wait_for_a_lock(execute)
            body, headers = {"title": "new"}, {"Idempotency-Key": "new"}
            creation = pool.submit(alice.post, "/api/tasks", json=body, headers=headers)
            time.sleep(0.2)
        assert deletion.result() == 2
        assert creation.result().status_code == 201
    assert alice.titles() == ["new"]


def test_imported_tasks_keep_their_uids_if_these_are_free(flask_user: Run, alice: Caller, bob: Caller) -> None:
    live, trashed = alice.add("live"), alice.add_for("/trash/", "trashed")
    exported = json.loads(flask_user("export", alice.user_id).stdout)
    tasks = [*exported["tasks"], *exported["trash"]]
    assert [task["uid"] for task in tasks] == [live["uid"], trashed["uid"]]
    tasks[0]["uid"] = tasks[0]["uid"].upper()
    answer = json.dumps({"tasks": tasks})
    assert flask_user("import", bob.user_id, "-", answer=answer).exit_code == 0
    assert {task["uid"] for task in read_tasks(bob.get("/api/tasks"))} == {live["uid"], trashed["uid"]}
    assert flask_user("import", alice.user_id, "-", "--add", answer=answer).exit_code == 0
    assert len({task["uid"] for task in read_tasks(alice.get("/api/tasks"))} - {trashed["uid"]}) == 3
    twice = flask_user("import", bob.user_id, "-", "--add", answer=json.dumps({"tasks": [tasks[0], tasks[0]]}))
    assert twice.stderr == "Error: task 2: uid: Is that of an earlier task.\n"


def test_an_invalid_user_id_is_refused(flask_user: Run) -> None:
    refused = flask_user("export", " ")
    assert refused.exit_code == 2
    assert "must be a string that is not blank" in refused.stderr


def test_an_unreachable_database_prints_one_line() -> None:
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": "postgresql://nobody@127.0.0.1:1/none"}
    failed = invoke("user", "export", "alice", settings=settings)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith("Error: The database cannot be reached: connection to server")
    assert failed.stderr.count("\n") == 1

"""Concurrent writes: no update is lost, and a deleted task is not changed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from config import Settings
from tests.support.callers import Caller, read_problem, read_task
from tests.support.databases import Database, closing_pool, wait_for_a_lock
from todo import create_app


def test_sixteen_threads_with_if_match_lose_no_update(settings: Settings, alice: Caller) -> None:
    """Each thread has its own connection, as in gunicorn."""
    path = f"/api/tasks/{alice.add('0')['id']}"

    def count(number: int) -> None:
        caller, done = Caller(app.test_client(), settings, alice.user_id), 0
        while done < 10:
            seen = caller.get(path)
            # The thread's number, because a change that the task already has would succeed.
            title = f"{int(read_task(seen)['title'].split()[0]) + 1} {number}"
            answer = caller.patch(path, json={"title": title}, headers={"If-Match": seen.headers["ETag"]})
            assert answer.status_code in {200, 412}
            done += answer.status_code == 200

    with closing_pool(create_app(replace(settings, threads=16))) as app, ThreadPoolExecutor(16) as pool:
        list(pool.map(count, range(16)))
    assert read_task(alice.get(path))["title"].startswith("160 ")


def test_a_task_deleted_during_the_request_is_404(database: Database, alice: Caller) -> None:
    task = alice.add()
    with ThreadPoolExecutor(1) as pool, database.transaction() as execute:
        execute("DELETE FROM todo.tasks WHERE id = %s", (task["id"],))
        headers = {"If-Match": '"1"'}
        waiting = pool.submit(alice.patch, f"/api/tasks/{task['id']}", json={"title": "new"}, headers=headers)
        wait_for_a_lock(execute)
    read_problem(waiting.result(timeout=10), 404)


def test_a_task_changed_during_the_request_is_412(database: Database, alice: Caller) -> None:
    task = alice.add()
    with ThreadPoolExecutor(1) as pool, database.transaction() as execute:
        execute("UPDATE todo.tasks SET version = 2 WHERE id = %s", (task["id"],))
        waiting = pool.submit(alice.delete, f"/api/tasks/{task['id']}", headers={"If-Match": '"1"'})
        wait_for_a_lock(execute)
    read_problem(waiting.result(timeout=10), 412)


def test_a_change_is_compared_with_the_newest_title(database: Database, alice: Caller) -> None:
    """A change that waits for another one sees the result of the other, not the task as it was before."""
    task = alice.add("mine")
    with ThreadPoolExecutor(1) as pool, database.transaction() as execute:
        execute("UPDATE todo.tasks SET title = 'theirs', version = 2 WHERE id = %s", (task["id"],))
        waiting = pool.submit(alice.patch, f"/api/tasks/{task['id']}", json={"title": "mine"})
        wait_for_a_lock(execute)
    answer = waiting.result(timeout=10)
    assert (read_task(answer)["title"], answer.headers["ETag"]) == ("mine", f'"{task["id"]}.3"')


@pytest.mark.parametrize("path", ["", "/complete"])
def test_toggles_that_wait_for_each_other_are_all_counted(settings: Settings, alice: Caller, path: str) -> None:
    task = alice.add()
    with closing_pool(create_app(replace(settings, threads=8))) as app, ThreadPoolExecutor(8) as pool:
        callers = [Caller(app.test_client(), settings, alice.user_id) for _ in range(8)]
        changes = [{"completed": number % 2 == 0} for number in range(8)] if not path else [None] * 8

        def change(caller: Caller, body: Any) -> bool:
            answer = read_task(caller.patch(f"/api/tasks/{task['id']}{path}", json=body))
            return body is None or answer["completed"] == body["completed"]

        assert all(pool.map(change, callers, changes))
    found = read_task(alice.get(f"/api/tasks/{task['id']}"))
    assert found["completed"] == (found["completed_at"] is not None)
    if path:
        assert not found["completed"]


def test_updated_at_never_goes_back(database: Database, alice: Caller) -> None:
    """The database's clock can be set back."""
    task = alice.add()
    future = "2999-01-01T00:00:00Z"
    database.run("UPDATE todo.tasks SET updated_at = %s WHERE id = %s", (future, task["id"]))
    for body in ({"title": "new"}, {"completed": True}):
        changed = read_task(alice.patch(f"/api/tasks/{task['id']}", json=body))
        assert changed["updated_at"] >= "2999"

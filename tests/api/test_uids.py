"""UIDs: a client can choose one with PUT, and use it wherever an ID stands."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from config import Settings
from tests.support.callers import Caller, operations_on_a_task, read_problem, read_task
from tests.support.databases import Database, wait_for_a_lock

IMPOSSIBLE = [
    "0b7f3f0c8a534a6e9d3f5f0c6b3e1d2a",
    "{0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a}",
    "urn:uuid:0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a",
    "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2",
    "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2g",
    "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a%0A",
    "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2٣",
    "%000b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2",
]


def make_path() -> str:
    return f"/api/tasks/{uuid4()}"


def test_a_uid_stands_wherever_an_id_stands(app: Flask, alice: Caller) -> None:
    for method, path in operations_on_a_task(app):
        task = alice.add()
        named = [task["id"], task["uid"], task["uid"].upper()]
        if "/trash/" in path:
            alice.delete(f"/api/tasks/{task['id']}")
        body = {"completed": False}
        for name in named[1:]:
            response = alice.call(method, path.format(task_id=name, user_id=alice.user_id), json=body)
            assert response.status_code < 300, (method, path, response.text)
            if method == "DELETE":
                alice.post(f"/api/trash/{task['id']}/restore")
                break
            if "/restore" in path:
                alice.delete(f"/api/tasks/{task['id']}")


def test_an_impossible_uid_is_404_with_the_same_bytes(app: Flask, alice: Caller) -> None:
    for method, path in operations_on_a_task(app):
        missing = alice.call(method, path.format(task_id=1, user_id=alice.user_id), json={"title": "x"})
        for name in IMPOSSIBLE:
            response = alice.call(method, path.format(task_id=name, user_id=alice.user_id), json={"title": "x"})
            assert (response.status_code, response.data) == (404 if missing.status_code == 404 else 422, missing.data)
    assert alice.titles() == []


def test_put_creates_the_task_of_a_uid(alice: Caller) -> None:
    path = make_path()
    response = alice.put(path.upper().replace("/API/TASKS", "/api/tasks"), json={"title": " x ", "tags": ["home"]})
    task = read_task(response, 201)
    assert (task["uid"], task["title"], task["tags"]) == (path[11:], "x", ["home"])
    assert response.headers["Location"] == f"http://localhost/api/tasks/{task['id']}"
    assert response.headers["ETag"] == task["etag"] == f'"{task["id"]}.1"'
    assert read_task(alice.get(path)) == read_task(alice.get(f"/api/tasks/{task['id']}")) == task
    again = alice.put(path, json={"title": " x ", "tags": ["home"]})
    assert read_task(again) == task
    assert "Location" not in again.headers
    changed = read_task(alice.put(path, json={"completed": True}))
    assert (changed["title"], changed["tags"], changed["completed"]) == ("x", ["home"], True)
    assert read_task(alice.put(path, json={})) == changed


def test_a_completed_task_can_be_put(alice: Caller) -> None:
    task = read_task(alice.put(make_path(), json={"title": "x", "completed": True}), 201)
    assert task["completed_at"] == task["created_at"]


@pytest.mark.parametrize("body", [{}, {"description": "x"}, {"completed": True}])
def test_a_new_task_needs_a_title(alice: Caller, body: dict[str, Any]) -> None:
    read_problem(alice.put(make_path(), json=body), 422, "title")
    assert alice.titles() == []


def test_a_missing_task_matches_no_version(alice: Caller) -> None:
    for match in ("*", '"1.1"'):
        for body in ({"title": "x"}, {}):
            read_problem(alice.put(make_path(), json=body, headers={"If-Match": match}), 412)
    assert alice.titles() == []


def test_if_none_match_creates_only(alice: Caller) -> None:
    path, headers = make_path(), {"If-None-Match": "*"}
    task = read_task(alice.put(path, json={"title": "x"}, headers=headers), 201)
    for body in ({"title": "x"}, {"title": "y"}, {}):
        read_problem(alice.put(path, json=body, headers=headers), 412)
    assert read_task(alice.get(path)) == task
    read_problem(alice.put(path, json={"title": "y"}, headers={"If-None-Match": task["etag"]}), 412)
    assert read_task(alice.put(path, json={"title": "y"}, headers={"If-Match": task["etag"]}))["title"] == "y"
    read_problem(alice.put(path, json={"title": "z"}, headers={"If-Match": task["etag"]}), 412)


def test_twenty_simultaneous_puts_create_one_task(app: Flask, settings: Settings, alice: Caller) -> None:
    path = make_path()

    def put(number: int) -> int:
        caller = Caller(app.test_client(), settings, alice.user_id)
        response = caller.put(path, json={"title": f"{number}"})
        if response.status_code == 429:
            return put(number)
        read_task(response, response.status_code)
        return response.status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(put, range(20)))
    assert statuses == [200] * 19 + [201]
    assert len(alice.titles()) == 1


def test_a_put_that_waits_for_a_deletion_finds_the_trash(alice: Caller, database: Database) -> None:
    """The statement waits for the counter of the user, with a view of the tasks from before the deletion."""
    task = alice.add()
    path = f"/api/tasks/{task['uid']}"
    for body, headers in [({"title": "new"}, {}), ({"tags": ["x"]}, {}), ({"title": "new"}, {"If-Match": "*"})]:
        with ThreadPoolExecutor(1) as pool:
            with database.transaction() as execute:
                execute("UPDATE todo.feeds SET change = change + 1 WHERE user_id = %s", (alice.user_id,))
                execute("INSERT INTO todo.trash (user_id, id, uid, title, change) SELECT user_id, id, uid, title, 99"
                        " FROM todo.tasks WHERE user_id = %s", (alice.user_id,))  # fmt: skip
                execute("DELETE FROM todo.tasks WHERE user_id = %s", (alice.user_id,))
                put = pool.submit(alice.put, path, json=body, headers=headers)
                wait_for_a_lock(execute)
            assert read_problem(put.result(), 410)["code"] == "task_in_trash"
        read_task(alice.post(f"/api/trash/{task['id']}/restore"))


def test_a_uid_never_changes(alice: Caller) -> None:
    task, other = alice.add(), str(uuid4())
    for method, path in (
        ("PATCH", f"/api/tasks/{task['id']}"),
        ("PUT", f"/api/tasks/{task['id']}"),
        ("PUT", f"/api/tasks/{task['uid']}"),
    ):
        response = alice.call(method, path, json={"title": method, "uid": other})
        assert read_task(response)["uid"] == task["uid"]
        read_problem(alice.call(method, path, json={"uid": other}), 422, "uid")
    read_problem(alice.get(f"/api/tasks/{other}"), 404)


def test_post_ignores_a_uid(alice: Caller) -> None:
    task = alice.add()
    copied = read_task(alice.post("/api/tasks", json=task), 201)
    assert copied["uid"] != task["uid"]
    assert len(alice.titles()) == 2


def test_users_can_have_the_same_uid(alice: Caller, bob: Caller) -> None:
    path = make_path()
    hers = read_task(alice.put(path, json={"title": "hers"}), 201)
    read_problem(bob.get(path), 404)
    his = read_task(bob.put(path, json={"title": "his"}), 201)
    assert (his["uid"], his["user_id"]) == (hers["uid"], bob.user_id)
    assert bob.delete(path).status_code == 204
    assert read_task(alice.get(path)) == hers
    read_problem(alice.post(f"/api/trash/{his['uid']}/restore"), 404)


def test_a_uid_is_free_again_after_its_task_was_removed(alice: Caller) -> None:
    path = make_path()
    first = read_task(alice.put(path, json={"title": "x"}), 201)
    alice.delete(path)
    assert alice.delete(path.replace("tasks", "trash")).status_code == 204
    second = read_task(alice.put(path, json={"title": "x"}), 201)
    assert (second["uid"], second["id"] > first["id"]) == (first["uid"], True)


def test_the_uid_of_a_task_that_cannot_be_restored_is_free(alice: Caller, database: Database) -> None:
    task = alice.add()
    alice.delete(f"/api/tasks/{task['id']}")
    database.run("UPDATE todo.trash SET deleted_at = now() - interval '31 days' WHERE user_id = %s", (alice.user_id,))
    again = read_task(alice.put(f"/api/tasks/{task['uid']}", json={"title": "again"}), 201)
    assert again["id"] > task["id"]
    assert alice.delete(f"/api/tasks/{again['id']}").status_code == 204
    assert [each["id"] for each in alice.get("/api/trash").get_json()] == [again["id"]]


def test_if_match_of_a_missing_task_says_that_it_is_missing(alice: Caller) -> None:
    problem = read_problem(alice.put(f"/api/tasks/{uuid4()}", json={"title": "x"}, headers={"If-Match": "*"}), 412)
    assert problem["detail"] == "The task does not exist, so it has no version that If-Match allows."

"""The trash: deleted tasks can be listed, restored, and removed for good."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.callers import Caller, read_problem, read_task
from tests.support.databases import Database, closing_pool
from tests.support.feeds import Device
from tests.support.pages import read_next
from todo import create_app
from todo.tasks.trash import TrashedTaskSchema


def read_trash(response: TestResponse) -> list[dict[str, Any]]:
    """Return the tasks in the trash, after a check against the documented schema."""
    assert response.status_code == 200, response.text
    tasks: Any = response.json
    assert isinstance(tasks, list)
    assert not TrashedTaskSchema(many=True).validate(tasks)
    return tasks


def list_titles(caller: Caller, path: str = "/api/trash") -> list[str]:
    return [task["title"] for task in read_trash(caller.get(path))]


def throw_away(caller: Caller, *titles: str) -> list[dict[str, Any]]:
    """Create and delete tasks, and return them."""
    tasks = [caller.add(title) for title in titles]
    for task in tasks:
        assert caller.delete(f"/api/tasks/{task['id']}").status_code == 204
    return tasks


def age(database: Database, caller: Caller, *titles: str, days: int = 31) -> None:
    """Let tasks have been deleted some days ago."""
    database.run(
        "UPDATE todo.trash SET deleted_at = now() - %s * interval '1 day' WHERE user_id = %s AND title = ANY(%s)",
        (days, caller.user_id, list(titles)),
    )


def test_a_deleted_task_is_in_the_trash_with_all_fields(alice: Caller) -> None:
    task = alice.add("x", description="y", tags=["home"], priority="low", due_date="2026-12-31")
    task = read_task(alice.patch(f"/api/tasks/{task['id']}/complete"))
    assert alice.delete(f"/api/tasks/{task['id']}").status_code == 204
    [trashed] = read_trash(alice.get("/api/trash"))
    assert trashed.pop("deleted_at") >= task["updated_at"]
    assert trashed == task
    assert alice.titles() == []


def test_a_restored_task_is_the_same_with_a_new_version(alice: Caller) -> None:
    [task] = throw_away(alice, "x")
    response = alice.post(f"/api/trash/{task['id']}/restore")
    restored = read_task(response)
    assert response.headers["ETag"] == restored["etag"] != task["etag"]
    assert restored["updated_at"] > task["updated_at"]
    assert restored | {"etag": task["etag"], "updated_at": task["updated_at"]} == task
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == restored
    assert list_titles(alice) == []
    path = f"/api/tasks/{task['id']}"
    read_problem(alice.patch(path, json={"title": "y"}, headers={"If-Match": task["etag"]}), 412)
    read_task(alice.patch(path, json={"title": "y"}, headers={"If-Match": restored["etag"]}))


def test_the_last_deleted_task_comes_first(alice: Caller) -> None:
    first, *_ = throw_away(alice, "1", "2", "3")
    assert list_titles(alice) == ["3", "2", "1"]
    read_task(alice.post(f"/api/trash/{first['id']}/restore"))
    assert list_titles(alice) == ["3", "2"]
    alice.delete(f"/api/tasks/{first['id']}")
    assert list_titles(alice) == ["1", "3", "2"]


def test_pages_stay_right_while_tasks_come_and_go(alice: Caller) -> None:
    tasks = throw_away(alice, *"0123456")
    first = alice.get("/api/trash?limit=2")
    assert [task["title"] for task in read_trash(first)] == ["6", "5"]
    read_task(alice.post(f"/api/trash/{tasks[6]['id']}/restore"))
    read_task(alice.post(f"/api/trash/{tasks[3]['id']}/restore"))
    alice.delete(f"/api/tasks/{tasks[6]['id']}")
    throw_away(alice, "new")
    second = alice.get(str(read_next(first)))
    assert [task["title"] for task in read_trash(second)] == ["4", "2"]
    assert alice.delete(f"/api/trash/{tasks[2]['id']}").status_code == 204
    third = alice.get(str(read_next(second)))
    assert ([task["title"] for task in read_trash(third)], read_next(third)) == (["1", "0"], None)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "sort=title", "status=all", "days=1"])
def test_a_wrong_parameter_of_the_trash_is_named(alice: Caller, query: str) -> None:
    read_problem(alice.get(f"/api/trash?{query}"), 422, query.partition("=")[0])


def test_cursors_of_other_lists_are_refused(alice: Caller) -> None:
    throw_away(alice, "1", "2")
    for title in ("3", "4"):
        alice.add(title)
    lists = ["/api/trash", "/api/tasks"]
    cursors = [str(read_next(alice.get(f"{path}?limit=1"))).partition("cursor=")[2] for path in lists]
    cursors.append(str(Device(alice).get().json["cursor"]))  # type: ignore[index]
    for path, cursor in zip([*lists, "/api/tasks/changes"], [cursors[1], cursors[2], cursors[0]], strict=True):
        assert read_problem(alice.get(f"{path}?cursor={cursor}"), 400)["code"] == "invalid_cursor"


def test_a_removed_task_is_gone_for_good(alice: Caller) -> None:
    first, _ = throw_away(alice, "first", "second")
    assert alice.delete(f"/api/trash/{first['id']}").status_code == 204
    assert list_titles(alice) == ["second"]
    read_problem(alice.delete(f"/api/trash/{first['id']}"), 404)
    read_problem(alice.post(f"/api/trash/{first['id']}/restore"), 404)
    alice.add("kept")
    for _ in range(2):
        response = alice.delete("/api/trash")
        assert (response.status_code, response.data) == (204, b"")
        assert list_titles(alice) == []
    assert alice.titles() == ["kept"]


@pytest.mark.parametrize("name", ["id", "uid", "UID"])
def test_ids_and_uids_name_a_task_in_the_trash(alice: Caller, name: str) -> None:
    [task] = throw_away(alice, "x")
    named = task[name] if name in task else task["uid"].upper()
    assert read_task(alice.post(f"/api/trash/{named}/restore/"))["id"] == task["id"]
    assert alice.delete(f"/api/tasks/{named}").status_code == 204
    assert alice.delete(f"/api/trash/{named}/").status_code == 204


def test_a_task_in_the_trash_is_404_for_every_operation(alice: Caller) -> None:
    [task] = throw_away(alice, "x")
    for name in (task["id"], task["uid"]):
        for method, path in [
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("PATCH", "/complete"),
            ("POST", "/toggle"),
            ("PATCH", "/status"),
        ]:
            missing = alice.call(method, f"/api/tasks/1{path}", json={"completed": True})
            response = alice.call(method, f"/api/tasks/{name}{path}", json={"completed": True})
            assert (response.status_code, response.data) == (404, missing.data)
    read_problem(alice.put(f"/api/tasks/{task['id']}", json={"title": "y"}), 404)
    for headers in ({}, {"If-Match": "*"}, {"If-None-Match": "*"}, {"If-Match": task["etag"]}):
        refused = alice.put(f"/api/tasks/{task['uid']}", json={"title": "y"}, headers=headers)
        assert read_problem(refused, 410)["code"] == "task_in_trash"
    assert read_problem(alice.put(f"/api/tasks/{task['uid']}", json={}), 410)["code"] == "task_in_trash"


def test_a_task_that_is_not_in_the_trash_is_404(alice: Caller, bob: Caller) -> None:
    task = alice.add()
    [other] = throw_away(bob, "his")
    paths = [task["id"], task["uid"], other["id"], other["uid"], 0, 2**63, "x", "1.5"]
    [body] = {
        alice.call(method, path).data
        for each in paths
        for method, path in (("POST", f"/api/trash/{each}/restore"), ("DELETE", f"/api/trash/{each}"))
    }
    assert b"not_found" in body
    assert list_titles(bob) == ["his"]
    assert alice.titles() == ["Buy milk"]


def test_after_trash_days_a_task_is_gone(alice: Caller, database: Database) -> None:
    old, *_ = throw_away(alice, "old", "new")
    age(database, alice, "old")
    age(database, alice, "new", days=29)
    assert list_titles(alice) == ["new"]
    for name in (old["id"], old["uid"]):
        read_problem(alice.post(f"/api/trash/{name}/restore"), 404)
        read_problem(alice.delete(f"/api/trash/{name}"), 404)


def test_one_deletion_in_16_removes_up_to_32_old_tasks(alice: Caller, database: Database) -> None:
    def count() -> int:
        return int(database.run("SELECT count(*) FROM todo.trash WHERE user_id = %s", (alice.user_id,))[0][0])

    device = Device(alice)
    old = [f"old {number}" for number in range(33)]
    throw_away(alice, *old, "kept")
    alice.add("last")
    device.sync()
    age(database, alice, *old)
    for expected in (1 + 1 + 16, 1 + 32):
        throw_away(alice, *["new"] * 16)
        assert count() == expected
    assert list_titles(alice) == ["new"] * 32 + ["kept"]
    device.sync()
    assert [task["title"] for task in device.copy.values()] == ["last"]


def test_an_expired_deletion_expires_cursors_that_lack_it(alice: Caller, database: Database) -> None:
    device, aware = Device(alice), Device(alice)
    task = alice.add("old")
    device.sync()
    alice.delete(f"/api/tasks/{task['id']}")
    aware.sync()
    age(database, alice, "old")
    throw_away(alice, *["new"] * 16)
    device.expect_expiry()
    assert [change["deleted"] for change in aware.sync()] == [True] * 16


def test_trash_days_is_a_setting(database: Database) -> None:
    settings = database.settings(trash_days=1)
    with closing_pool(create_app(settings)) as app:
        alice = Caller(app.test_client(), settings)
        throw_away(alice, "1", "2")
        age(database, alice, "1", days=2)
        assert list_titles(alice) == ["2"]


def test_a_restoration_obeys_the_limit_of_tasks(database: Database) -> None:
    settings = database.settings(max_tasks=2)
    with closing_pool(create_app(settings)) as app:
        alice = Caller(app.test_client(), settings)
        [task] = throw_away(alice, "deleted")
        for title in ("1", "2"):
            kept = alice.add(title)
        refused = alice.post(f"/api/trash/{task['id']}/restore")
        assert read_problem(refused, 403)["code"] == "task_limit_reached"
        read_problem(alice.post("/api/trash/1/restore"), 404)
        assert list_titles(alice) == ["deleted"]
        alice.delete(f"/api/tasks/{kept['id']}")
        assert read_task(alice.post(f"/api/trash/{task['id']}/restore"))["title"] == "deleted"


def test_a_key_of_a_deleted_task_counts_again_when_restored(alice: Caller) -> None:
    def create() -> TestResponse:
        return alice.post("/api/tasks", json={"title": "x"}, headers={"Idempotency-Key": "k"})

    task = read_task(create(), 201)
    alice.delete(f"/api/tasks/{task['id']}")
    assert read_problem(create(), 409)["code"] == "idempotency_key_gone"
    restored = read_task(alice.post(f"/api/trash/{task['id']}/restore"))
    again = create()
    assert (read_task(again, 201), again.headers["Idempotent-Replayed"]) == (restored, "true")


def test_if_match_protects_a_task_from_deletion(alice: Caller) -> None:
    task = alice.add()
    path = f"/api/tasks/{task['uid']}"
    changed = read_task(alice.patch(path, json={"title": "new"}))
    read_problem(alice.delete(path, headers={"If-Match": task["etag"]}), 412)
    read_problem(alice.delete(path, headers={"If-None-Match": "*"}), 412)
    assert list_titles(alice) == []
    assert alice.delete(path, headers={"If-Match": changed["etag"]}).status_code == 204
    assert list_titles(alice) == ["new"]

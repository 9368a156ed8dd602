"""GET /api/tasks/changes: a device that reads it has the same tasks, whatever happens between its pages."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.callers import Caller, read_problem, read_tasks
from tests.support.commands import invoke
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.feeds import Device, read_place
from tests.support.pages import add_large_tasks, read_next
from todo import create_app
from todo.database.changes import SCOPE
from todo.database.cursors import write_cursor


@pytest.fixture
def device(alice: Caller) -> Device:
    return Device(alice)


def is_equal(device: Device) -> bool:
    """Return whether the copy equals the list of tasks, in every field."""
    url: str | None = "/api/tasks"
    tasks: list[dict[str, Any]] = []
    while url:
        response = device.caller.get(url)
        tasks += read_tasks(response)
        url = read_next(response)
    return device.copy == {task["id"]: task for task in tasks}


def latest(device: Device) -> int:
    """Return the number of the user's last write."""
    device.sync()
    return int(read_place(str(device.cursor))[2])


def describe(changes: list[dict[str, Any]]) -> list[str]:
    return [f"-{change['id']}" if change["deleted"] else change["title"] for change in changes]


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6])
def test_pages_have_all_tasks_and_say_if_there_are_more(device: Device, fill: None, limit: int) -> None:
    sizes, more = [], True
    while more:
        more = device.read(limit=limit)
        sizes.append(len(device.page))
    assert sizes == [limit] * (5 // limit) + ([5 % limit] if 5 % limit else [])
    assert is_equal(device)
    assert device.sync(limit=limit) == []


def test_changes_come_in_the_order_of_the_last_writes(device: Device, fill: None) -> None:
    assert describe(device.sync()) == ["0", "1", "2", "3", "4"]
    first, second = list(device.copy)[:2]
    device.caller.patch(f"/api/tasks/{first}", json={"title": "changed"})
    device.caller.delete(f"/api/tasks/{second}")
    device.caller.add("new")
    device.caller.patch(f"/api/tasks/{first}", json={"title": "changed again"})
    assert describe(device.sync()) == [f"-{second}", "new", "changed again"]
    assert is_equal(device)


def test_every_kind_of_write_appears(device: Device) -> None:
    alice, uid = device.caller, "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a"
    path = f"/api/tasks/{uid}"
    writes: list[tuple[str, str, Any]] = [
        ("PUT", path, {"title": "put"}),
        ("PUT", path, {"title": "put again"}),
        ("PATCH", path, {"title": "patched"}),
        ("PATCH", f"{path}/complete", None),
        ("POST", f"{path}/toggle", None),
        ("DELETE", path, None),
        ("POST", f"/api/trash/{uid}/restore", None),
        ("POST", "/api/tasks", {"title": "once"}),
    ]
    for method, written, body in writes:
        response = alice.call(method, written, json=body, headers={"Idempotency-Key": "k"})
        assert response.status_code < 300, response.text
        [change] = device.sync()
        assert (change["uid"] == uid, change["deleted"]) == (method != "POST" or body is None, method == "DELETE")
        assert is_equal(device)


def test_what_writes_nothing_takes_no_number(device: Device) -> None:
    alice = device.caller
    path = f"/api/tasks/{alice.add()['id']}"
    alice.post("/api/tasks", json={"title": "once"}, headers={"Idempotency-Key": "k"})
    before = latest(device)
    for status, refused in [
        (200, alice.patch(path, json={})),
        (200, alice.patch(path, json={"title": "Buy milk", "completed": False})),
        (200, alice.put(path, json={"title": "Buy milk"})),
        (412, alice.patch(path, json={"title": "x"}, headers={"If-Match": '"1.1"'})),
        (412, alice.delete(path, headers={"If-Match": '"1.1"'})),
        (404, alice.patch("/api/tasks/1", json={"title": "x"})),
        (404, alice.delete("/api/tasks/1")),
        (404, alice.post("/api/trash/1/restore")),
        (404, alice.delete("/api/trash/1")),
        (204, alice.delete("/api/trash")),
        (422, alice.put("/api/tasks/0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a", json={})),
        (201, alice.post("/api/tasks", json={"title": "once"}, headers={"Idempotency-Key": "k"})),
    ]:
        assert refused.status_code == status
    assert latest(device) == before
    assert device.page == []


def test_a_broken_off_first_sync_goes_on_despite_deletions(device: Device, fill: None) -> None:
    alice = device.caller
    sent, unsent = [task["id"] for task in read_tasks(alice.get("/api/tasks?order=asc"))][:4:3]
    alice.delete(f"/api/tasks/{alice.add('before')['id']}")
    assert device.read(limit=2)
    alice.delete(f"/api/tasks/{sent}")
    alice.delete(f"/api/tasks/{unsent}")
    alice.add("new")
    assert describe(device.sync(limit=2)) == ["2", "4", f"-{sent}", f"-{unsent}", "new"]
    assert is_equal(device)


def test_a_restored_task_appears_again(device: Device) -> None:
    alice = device.caller
    path = f"/api/tasks/{alice.add()['id']}"
    device.sync()
    alice.delete(path)
    alice.post(f"{path.replace('tasks', 'trash')}/restore")
    assert describe(device.sync()) == ["Buy milk"]
    alice.delete(path)
    device.sync()
    assert device.copy == {}
    alice.post(f"{path.replace('tasks', 'trash')}/restore")
    device.sync()
    assert is_equal(device)


@pytest.mark.parametrize("is_purged", [False, True])
def test_a_user_without_tasks_can_sync_before_the_first(device: Device, *, is_purged: bool) -> None:
    alice = device.caller
    assert device.sync() == []
    assert read_place(str(device.cursor))[0] is None
    path = f"/api/tasks/{alice.add()['id']}"
    alice.delete(path)
    kept = alice.add("kept")
    if is_purged:
        alice.delete("/api/trash")
        device.expect_expiry()
    device.sync()
    assert device.copy == {kept["id"]: kept}


def test_a_purge_expires_the_cursors_that_lack_the_deletion(alice: Caller) -> None:
    ids = [alice.add(str(number))["id"] for number in range(3)]
    behind, ahead = Device(alice), Device(alice)
    behind.sync()
    for task_id in ids[:2]:
        alice.delete(f"/api/tasks/{task_id}")
    ahead.sync()
    alice.delete(f"/api/trash/{ids[0]}")
    behind.expect_expiry()
    behind.sync()
    alice.delete("/api/trash")
    for device in (ahead, behind):
        assert device.sync() == []
        device.copy.pop(ids[1], None)
        assert is_equal(device)


def test_a_purge_during_the_first_sync_expires_its_cursor(device: Device, fill: None) -> None:
    device.read(limit=2)
    device.caller.delete(f"/api/tasks/{next(iter(device.copy))}")
    device.caller.delete("/api/trash")
    device.expect_expiry()
    device.read(limit=2)
    device.sync(limit=2)
    assert is_equal(device)


def test_a_purge_before_the_first_sync_does_not_matter(device: Device, fill: None) -> None:
    device.caller.delete(f"/api/tasks/{device.caller.add()['id']}")
    device.caller.delete("/api/trash")
    assert device.read(limit=2)
    device.sync(limit=2)
    assert is_equal(device)


def test_a_page_can_end_among_the_changes_of_a_batch(device: Device) -> None:
    """A batch gives all its tasks one number."""
    device.sync()
    operations: list[dict[str, Any]] = [{"op": "create", "task": {"title": f"{number}"}} for number in range(5)]
    created: Any = device.caller.post("/api/tasks/batch", json={"operations": operations}).json
    assert describe(device.sync(limit=2)) == ["0", "1", "2", "3", "4"]
    assert is_equal(device)
    operations = [{"op": "delete", "id": task["id"]} for task in created["tasks"]]
    assert device.caller.post("/api/tasks/batch", json={"operations": operations}).status_code == 200
    assert device.read(limit=2)
    done = Device(device.caller, cursor=device.cursor)
    assert not done.read(limit=3)
    device.caller.delete("/api/trash")
    assert done.sync() == []
    device.expect_expiry()


def test_cursors_of_others_and_of_other_times_have_expired(device: Device, bob: Caller, fill: None) -> None:
    device.sync()
    epoch, since, change, task_id = read_place(str(device.cursor))
    for place in (
        [epoch, since, change + 1, task_id],
        [epoch, since, 2**63 - 1, 1],
        ["0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a", since, change, task_id],
        ["", since, change, task_id],
        [[epoch], since, change, task_id],
        [None, since, change, task_id],
    ):
        Device(device.caller, cursor=write_cursor(place, SCOPE)).expect_expiry()
    bob.add()
    Device(bob, cursor=device.cursor).expect_expiry()
    assert device.sync() == []


@pytest.mark.parametrize("command", [["feed", "renew"], ["after-restore"], ["user", "delete", "{}", "--yes"]])
def test_commands_make_cursors_expire(own_database: Database, command: list[str]) -> None:
    settings = own_database.settings()
    with closing_pool(create_app(settings)) as app:
        device = Device(Caller(app.test_client(), settings))
        device.caller.add()
        device.sync()
        given = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url()}
        done = invoke(*(each.format(device.caller.user_id) for each in command), settings=given)
        assert done.exit_code == 0, done.stderr
        device.expect_expiry()
        device.sync()
        assert is_equal(device)
        device.caller.add()
        device.sync()
        assert is_equal(device)


def test_a_malformed_cursor_is_refused(device: Device, fill: None) -> None:
    device.read(limit=1)
    cursor = str(device.cursor)
    listed = device.caller.get("/api/tasks?limit=1").headers["Link"].partition("cursor=")[2].partition(">")[0]
    epoch, *numbers = read_place(cursor)
    places: list[list[Any]] = [[], [epoch], [epoch, *numbers, 1], [epoch, -1, 0, 0], [epoch, 0, 2**63, 0]]
    wrong: list[Any] = ["1", None, True, 1.5, []]
    places += [[epoch, 0, 0, task_id] for task_id in wrong]
    forged = [write_cursor(place, SCOPE) for place in places]
    altered: list[str] = ["x", cursor[:-1], f"{cursor}A", cursor.swapcase(), f"{cursor}=", listed]
    for text in altered + forged:
        response = Device(device.caller, cursor=text).get()
        assert read_problem(response, 400)["code"] == "invalid_cursor"
    read_problem(device.caller.get("/api/tasks", query_string={"cursor": cursor}), 400)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "since=1", "sort=title", "search=x"])
def test_a_wrong_parameter_is_named(alice: Caller, query: str) -> None:
    read_problem(alice.get(f"/api/tasks/changes?{query}"), 422, query.partition("=")[0])


def test_a_page_of_large_changes_ends_early(device: Device, database: Database) -> None:
    add_large_tasks(database, device.caller.user_id, 300)
    number, more = 0, True
    while more:
        response = device.get()
        assert len(response.data) < 1_200_000
        more = device.read()
        number += len(device.page)
    assert (number, device.pages > 1) == (300, True)
    assert is_equal(device)


def test_a_page_of_deleted_tasks_is_as_long_as_asked(device: Device, database: Database) -> None:
    device.caller.add()
    device.sync()
    database.run(
        "INSERT INTO todo.trash (user_id, id, title, change) SELECT %s, n, 'x', n FROM generate_series(2, 1200) AS n",
        (device.caller.user_id,),
    )
    database.run("UPDATE todo.feeds SET change = 1200 WHERE user_id = %s", (device.caller.user_id,))
    assert device.read()
    assert len(device.page) == 1000
    assert len(device.sync()) == 199


@pytest.mark.parametrize("has_counter", [True, False])
def test_tasks_of_the_release_before_are_in_the_first_sync(
    device: Device, database: Database, *, has_counter: bool
) -> None:
    """They have no number. Their user may have no counter either."""
    if has_counter:
        device.caller.add("numbered")
    database.run(
        "INSERT INTO todo.tasks (user_id, title) SELECT %s, n::text FROM generate_series(1, 5) AS n",
        (device.caller.user_id,),
    )
    assert len(device.sync(limit=2)) == 5 + has_counter
    assert is_equal(device)
    if not has_counter:
        device.sync()
        device.caller.add("numbered")
        device.expect_expiry()
    device.sync()
    assert is_equal(device)


def test_imported_tasks_and_samples_appear(
    device: Device, make_caller: Callable[..., Caller], database: Database
) -> None:
    given = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web")}
    device.caller.add()
    device.sync()
    task = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z") | {"completed_at": None}
    tasks = json.dumps({"tasks": [{"title": f"{number}", **task} for number in range(3)]})
    done = invoke("user", "import", device.caller.user_id, "-", "--add", settings=given, answer=tasks)
    assert done.exit_code == 0, done.stderr
    assert describe(device.sync(limit=2)) == ["0", "1", "2"]
    assert is_equal(device)
    device = Device(make_caller("user77001"))
    device.sync()
    done = invoke("seed", "--users", "1", "--tasks", "3", "--start", "77001", settings=given)
    assert done.exit_code == 0, done.stderr
    assert len(device.sync()) == 3
    assert is_equal(device)


@pytest.mark.parametrize(("name", "value"), [("is_completed", False), ("status", "pending")])
def test_changes_have_the_second_name_of_completed(database: Database, name: str, value: Any) -> None:
    settings = database.settings(completed_as=name)
    with closing_pool(create_app(settings)) as app:
        alice = Caller(app.test_client(), settings)
        task: Any = alice.post("/api/tasks", json={"title": "x"}).json
        changes: Any = alice.get("/api/tasks/changes").json
    assert changes["changes"] == [{**task, "deleted": False}]
    assert task[name] == value


def test_the_path_with_the_user_id_is_the_same(device: Device, bob: Caller) -> None:
    device.caller.add()
    path = f"/api/{device.caller.user_id}/tasks/changes"
    assert device.caller.get(path).json == device.get().json
    assert device.caller.get(f"{path}/").status_code == 200
    read_problem(bob.get(path), 404)

"""A user can never read, change or delete the data of another user, or learn that an id exists.

Two walls keep users apart: the owner filter in the application's queries, and row security for the role that they run
as. The tests run with both walls, and with each wall alone.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import product, repeat
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from tests.support.callers import Caller, list_routes, operations_on_a_task, read_problem, read_task, read_tasks
from tests.support.databases import Database, Server, closing_pool
from tests.support.pages import read_changes, read_next
from todo import create_app
from todo.database.audit import list_tables
from todo.database.connections import Connections
from todo.database.isolation import Isolation
from todo.database.statements import Statement
from todo.extensions import db
from todo.tasks import limits
from todo.tasks.listing import SORTS

# Row security alone must hold for every login, since a superuser and an owner would bypass it without the role.
# The application's filters do not depend on the login. Both together are what production runs.
CONFIGURATIONS = [
    ("both walls", "web"),
    *(("the database alone", login) for login in Database.LOGINS),
    ("the application alone", "owner"),
]
MISSING = 2**62
MISSING_UID = "4c1f0a3e-6d2b-4a8f-9b57-2f6c1d0e9a83"
IMPOSSIBLE = [
    "0", "-1", "+1", "01", "1.0", "1e3", "1_0", " 1", "1 ", "abc", "null", "tasks", "%31%00", "%00", "%ff",
    "\uff11", "' OR 1=1--", "..", ".", "*", str(2**63 - 1), str(2**63), "9" * 19, "1" * 40, "1" * 4000,
    MISSING_UID.replace("-", ""), f"{{{MISSING_UID}}}", f"urn:uuid:{MISSING_UID}", MISSING_UID[1:], f"{MISSING_UID}%0a",
]  # fmt: skip
BODIES: list[dict[str, Any]] = [{}, {"json": {}}, {"json": {"title": "mine now", "completed": True}}]


class Ownerless(Isolation):
    """Send every statement without its owner filters. ``removed`` counts those of each table or alias."""

    FILTER = r"(?:(?:todo\.)?(\w+)\.)?\buser_id = "

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.removed: Counter[str] = Counter()
        self._changed: dict[str, Statement[Any]] = {}

    def fetch(self, user_id: str, statement: Statement[Any], *rest: Any, **options: Any) -> Sequence[Any]:
        changed = self._changed.get(statement.name) or self._remove(statement)
        return super().fetch(user_id, changed, *rest, **options)

    def _remove(self, statement: Statement[Any]) -> Statement[Any]:
        changed = self._changed[statement.name] = copy(statement)
        changed.name += "_ownerless"
        changed.text = re.sub(rf"{self.FILTER}%\(owner\)s", "true", statement.text)
        # A prepared statement keeps its number of parameters.
        changed.preparation = re.sub(rf"{self.FILTER}(\$\d+)", r"(\2::text IS NOT NULL)", statement.preparation)
        self.removed += Counter(re.findall(rf"{self.FILTER}%\(owner\)s", statement.text))
        # What remains is the owner of new rows.
        assert set(re.findall(r"(\w+) \(?%\(owner\)s", changed.text)) <= {"SELECT", "VALUES"}
        return changed


class Service:
    """The application with its own database, and with one or both walls."""

    def __init__(self, database: Database, login: str, walls: str) -> None:
        self.database, self.walls = database, walls
        self.settings = database.settings(login)
        self.app = create_app(self.settings)
        if walls == "the database alone":
            with self.app.app_context():
                self.app.extensions["isolation"] = Ownerless(Connections(db.engine, self.settings), self.settings)
        if walls == "the application alone":
            for table in list_tables():
                database.run(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    def make_caller(self, user_id: str | None = None) -> Caller:
        return Caller(self.app.test_client(), self.settings, user_id)

    def read_rows(self, caller: Caller) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of a user, by table."""
        rows = "SELECT * FROM {} AS row WHERE user_id = %s ORDER BY row::text"
        return {str(table): self.database.run(rows.format(table), (caller.user_id,)) for table in list_tables()}


@pytest.fixture(scope="module", params=CONFIGURATIONS, ids=" as ".join)
def service(request: pytest.FixtureRequest, server: Server) -> Iterator[Service]:
    walls, login = request.param
    with server.database(migrated=True) as database:
        service = Service(database, login, walls)
        with closing_pool(service.app):
            yield service


def test_foreign_missing_and_impossible_ids_get_the_same_404(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    hers, her_deleted = alice.add("hers", description="private"), alice.add_for("/trash/", "hers, deleted")
    his, his_deleted = bob.add("his"), bob.add_for("/trash/", "his, deleted")
    stored = [service.read_rows(caller) for caller in (alice, bob)]
    asked = 0
    for method, path in operations_on_a_task(service.app):
        # Each operation finds tasks in one of the two tables.
        elsewhere = his if "/trash/" in path else his_deleted
        uids = [MISSING_UID, *(task["uid"] for task in (hers, her_deleted, elsewhere)), hers["uid"].upper()]
        ids = [MISSING, *(task["id"] for task in (hers, her_deleted, elsewhere))]
        users = [bob.user_id, alice.user_id] if "{user_id}" in path else [bob.user_id]
        for (number, body), user_id in product(enumerate(BODIES), users):
            # PUT creates a task that is not there; see the next test.
            creates = method == "PUT" and path.endswith("/{task_id}") and user_id == bob.user_id
            answers = {
                name: read_missing(bob.call(method, path.format(task_id=name, user_id=user_id), **body))
                # Each operation with each impossible ID, and one of the bodies.
                for name in [*ids, *([] if creates else uids), *IMPOSSIBLE[number :: len(BODIES)]]
            }
            assert len(set(answers.values())) == 1, (method, path, body, answers)
            asked += len(answers)
    assert asked > 2000
    check_walls(service)
    assert [service.read_rows(caller) for caller in (alice, bob)] == stored
    assert read_task(alice.get(f"/api/tasks/{hers['id']}")) == hers


@pytest.mark.parametrize("path", ["/api/tasks/{uid}", "/api/{user_id}/tasks/{uid}"])
def test_putting_a_foreign_uid_is_like_putting_a_new_one(service: Service, path: str) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    foreign = [alice.add("hers", priority="high")["uid"], alice.add_for("/trash/", "hers, deleted")["uid"]]
    her_rows = service.read_rows(alice)
    requests: list[tuple[int, dict[str, Any]]] = [
        (422, {}),
        (422, {"json": {}}),
        (422, {"json": {"completed": True}}),
        (422, {"json": {"title": ""}}),
        (412, {"json": {"title": "x"}, "headers": {"If-Match": '"1.1"'}}),
        (412, {"json": {"completed": True}, "headers": {"If-Match": '"1.1"'}}),
        (201, {"json": {"title": "his", "user_id": alice.user_id}, "headers": {"If-None-Match": "*"}}),
        (412, {"json": {"title": "his"}, "headers": {"If-None-Match": "*"}}),
        (200, {"json": {"title": "his", "completed": True}}),
        (200, {"json": {"completed": True}}),
    ]
    uids = [str(uuid4()), *foreign, foreign[0].upper()]
    for status, options in requests:
        answers = []
        # The last UID is that of the second task, which exists by then.
        for uid in uids[: 3 if status == 201 else 4]:
            response = bob.put(path.format(uid=uid, user_id=bob.user_id), **options)
            assert response.status_code == status, response.text
            answers.append(hide_what_differs(response, uid))
        assert all(answer == answers[0] for answer in answers), answers
    assert service.read_rows(alice) == her_rows
    assert bob.titles() == ["his"] * 3
    created = {task["uid"]: task["user_id"] for task in read_tasks(bob.get("/api/tasks"))}
    assert created == dict.fromkeys(uids[:3], bob.user_id)


def test_a_batch_finds_and_creates_only_own_tasks(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    hers, her_deleted = alice.add("hers"), alice.add_for("/trash/", "hers, deleted")
    his_deleted = bob.add_for("/trash/", "his, deleted")
    stored = [service.read_rows(caller) for caller in (alice, bob)]
    requests: list[dict[str, Any]] = [
        {"op": "update", "changes": {"title": "mine now"}},
        {"op": "update", "changes": {"title": "hers"}, "etag": hers["etag"]},
        {"op": "complete", "completed": True},
        {"op": "delete"},
        {"op": "delete", "etag": hers["etag"]},
    ]
    names: list[dict[str, Any]] = [{"id": MISSING}, {"uid": MISSING_UID}]
    names += [{name: task[name]} for task in (hers, her_deleted, his_deleted) for name in ("id", "uid")]
    for request in requests:
        batches = [[{"op": "create", "task": {"title": "x"}}, request | name] for name in names]
        answers = [read_missing(bob.post("/api/tasks/batch", json={"operations": batch})) for batch in batches]
        assert len(set(answers)) == 1, (request, answers)
    assert [service.read_rows(caller) for caller in (alice, bob)] == stored
    creations = [{"op": "create", "task": {"title": "his", "uid": task["uid"]}} for task in (hers, her_deleted)]
    created: Any = bob.post("/api/tasks/batch", json={"operations": creations}).json
    assert [task["user_id"] for task in created["tasks"]] == [bob.user_id] * 2
    check_walls(service)
    assert service.read_rows(alice) == stored[0]


def test_own_tasks_are_found_by_id_and_by_uid(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    alice.add("hers"), alice.add_for("/trash/", "hers, deleted")
    her_rows = service.read_rows(alice)
    completion = {"json": {"completed": True}}
    for method, path in operations_on_a_task(service.app):
        for name, body in (("id", {}), ("uid", completion), ("UID", completion)):
            task = bob.add_for(path, "his")
            written = task["uid"].upper() if name == "UID" else task[name]
            response = bob.call(method, path.format(task_id=written, user_id=bob.user_id), **body)
            if method == "DELETE":
                assert response.status_code == 204
            else:
                assert (read_task(response)["id"], read_task(response)["uid"]) == (task["id"], task["uid"])
    check_walls(service)
    assert service.read_rows(alice) == her_rows


def test_the_trash_and_the_changes_have_only_own_tasks(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    kept: dict[str, list[str]] = {alice.user_id: [], bob.user_id: []}
    deleted: dict[str, list[str]] = {alice.user_id: [], bob.user_id: []}
    cursors = {caller.user_id: read_changes(caller)[1] for caller in (alice, bob)}
    for caller in (alice, bob, alice, bob, bob, alice):
        kept[caller.user_id].append(caller.add()["uid"])
        deleted[caller.user_id].append(caller.add_for("/trash/")["uid"])
    for caller in (alice, bob):
        changes, cursor = read_changes(caller, cursors[caller.user_id], limit=1)
        live = [change["uid"] for change in changes if not change["deleted"]]
        assert live == kept[caller.user_id]
        assert [change["uid"] for change in changes if change["deleted"]] == deleted[caller.user_id]
        assert [change["uid"] for change in read_changes(caller)[0]] == kept[caller.user_id]
        cursors[caller.user_id] = cursor
        page = f"/api/trash?limit=1&cursor={read_cursor(alice.get('/api/trash?limit=1'))}"
        shown = [task["uid"] for task in caller.get(page).get_json() + caller.get("/api/trash").get_json()]
        assert set(shown) == set(deleted[caller.user_id])
    check_walls(service)
    # The tasks that Alice changes now are not in the changes of Bob, whichever cursor he uses.
    alice.add("hers")
    refused = bob.get("/api/tasks/changes", query_string={"cursor": cursors[alice.user_id]})
    assert read_problem(refused, 410)["code"] == "cursor_expired"
    assert read_changes(bob, cursors[bob.user_id])[0] == []
    newcomer = service.make_caller()
    assert read_problem(newcomer.get(f"/api/tasks/changes?cursor={cursors[alice.user_id]}"), 410) == refused.json


def test_a_calendar_has_only_own_tasks(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    recurrence = {"rule": "FREQ=DAILY", "time_zone": "Europe/Berlin"}
    hers, his = (
        [
            caller.add(title, due_date="2027-03-05", remind_at="2027-03-05T08:00:00Z", recurrence=recurrence),
            caller.add(title, due_date="2027-03-05T09:00:00Z"),
        ]
        for caller, title in ((alice, "hers"), (bob, "his"))
    )
    path = "/api/tasks/calendar.ics"
    for caller, own in ((alice, hers), (bob, his)):
        file = caller.get(path)
        assert set(re.findall(r"^UID:(\S+)", file.text, re.MULTILINE)) == {task["uid"] for task in own}
        assert set(re.findall(r"^SUMMARY:(\S+)", file.text, re.MULTILINE)) == {own[0]["title"]}
        assert caller.get(path, headers={"If-None-Match": file.headers["ETag"]}).status_code == 304
        # The tag of one user is unknown for the other, whose file it cannot replace.
        for other in (alice, bob, service.make_caller()):
            status = 304 if other is caller else 200
            assert other.get(path, headers={"If-None-Match": file.headers["ETag"]}).status_code == status
    check_walls(service, "tasks", "feeds")


def test_a_user_empties_only_the_own_trash(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    for caller in (alice, bob, alice):
        caller.add("kept"), caller.add_for("/trash/", "deleted")
    her_rows = service.read_rows(alice)
    for path in ("/api/trash", f"/api/{bob.user_id}/trash"):
        bob.add_for("/trash/", "deleted too")
        assert bob.delete(path).status_code == 204
        assert bob.get(path).json == []
    assert service.read_rows(alice) == her_rows
    assert bob.titles() == ["kept"]


def test_a_deletion_removes_only_own_expired_tasks(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELETIONS", repeat(16))  # Each deletion looks for old tasks.
    alice, bob = service.make_caller(), service.make_caller()
    for caller in (alice, bob, alice, bob):
        caller.add_for("/trash/")
    service.database.run("UPDATE todo.trash SET deleted_at = now() - interval '31 days'")
    her_rows = service.read_rows(alice)
    # One deletion in 16 looks for old tasks.
    deleted = [bob.add_for("/trash/")["id"] for _ in range(16)]
    assert service.read_rows(alice) == her_rows
    assert len(service.read_rows(bob)["todo.trash"]) == 16
    assert [task["id"] for task in bob.get("/api/trash").get_json()] == deleted[::-1]


RECURRING = {"title": "recurring", "due_date": "2026-11-30", "recurrence": {"rule": "FREQ=DAILY"}}


def test_completing_and_reopening_affect_only_own_tasks(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    hers, his = (read_task(caller.post("/api/tasks", json=RECURRING), 201) for caller in (alice, bob))
    her_next, her_changed = (
        read_task(alice.patch(f"/api/tasks/{task['id']}/complete"))["next_id"]
        for task in (hers, read_task(alice.post("/api/tasks", json=RECURRING), 201))
    )
    alice.patch(f"/api/tasks/{her_changed}", json={"title": "hers"})
    her_rows = service.read_rows(alice)
    writes: list[Callable[[bool], TestResponse]] = [
        lambda completed: bob.patch(f"/api/tasks/{his['id']}/complete", json={"completed": completed}),
        lambda completed: bob.post(f"/api/tasks/{his['id']}/toggle"),
        lambda completed: bob.patch(f"/api/tasks/{his['uid']}", json={"completed": completed}),
        lambda completed: bob.put(f"/api/tasks/{his['uid']}", json={"completed": completed}),
        lambda completed: bob.post("/api/tasks/batch", json={"operations": [
            {"op": "complete", "id": his["id"], "completed": completed}
        ]}),
    ]  # fmt: skip
    for write, followed in product(writes, (her_next, her_changed)):
        assert write(True).status_code == 200
        successors = [task for task in read_tasks(bob.get("/api/tasks")) if not task["completed"]]
        assert [task["user_id"] for task in successors] == [bob.user_id]
        # As if his task had been followed by hers.
        service.database.run("UPDATE todo.tasks SET next_id = %s WHERE id = %s", (followed, his["id"]))
        assert write(False).status_code == 200
        assert read_task(bob.get(f"/api/tasks/{his['id']}"))["next_id"] is None
        assert bob.delete(f"/api/tasks/{successors[0]['id']}").status_code == 204
    check_walls(service)
    assert service.read_rows(alice) == her_rows
    assert bob.titles() == ["recurring"]


def test_commands_for_a_user_affect_no_other_user(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    for caller in (alice, bob):
        caller.add("kept"), caller.add_for("/trash/", "deleted")
    her_rows = service.read_rows(alice)
    invoke = service.app.test_cli_runner().invoke
    exported = invoke(args=["user", "export", bob.user_id])
    assert alice.user_id not in exported.stdout
    assert invoke(args=["user", "delete", bob.user_id, "--yes"]).exit_code == 0
    assert {table: len(rows) for table, rows in service.read_rows(bob).items()} == dict.fromkeys(her_rows, 0)
    assert invoke(args=["user", "import", bob.user_id, "-"], input=exported.stdout).exit_code == 0
    assert bob.titles() == ["kept"]
    assert service.read_rows(alice) == her_rows


@pytest.mark.parametrize("path", ["", "/complete"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"json": {"title": "", "completed": 1}}, 422),
        ({"data": "{bad", "content_type": "application/json"}, 400),
        ({"data": "{}", "content_type": "text/plain"}, 415),
        ({"data": " " * 70_000, "content_type": "application/json"}, 413),
    ],
)
def test_body_errors_do_not_depend_on_the_id(service: Service, path: str, body: dict[str, Any], status: int) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    tasks = [caller.add_for(place) for caller, place in product((alice, bob), ("/tasks/", "/trash/"))]
    ids = [*(task[name] for task in tasks for name in ("id", "uid")), MISSING, MISSING_UID, "abc", "0", "01", "9" * 30]
    answers = [bob.patch(f"/api/tasks/{task_id}{path}", **body) for task_id in ids]
    assert {(answer.status_code, answer.data) for answer in answers} == {(status, answers[0].data)}


def test_the_list_path_of_another_user_is_404(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    alice.add("hers")
    alice.add_for("/trash/")
    stored = service.read_rows(alice)
    for method, path in list_routes(service.app):
        if "{user_id}" in path and "{task_id}" not in path:
            read_missing(bob.call(method, path.format(user_id=alice.user_id), json={"title": "hers too"}))
    assert service.read_rows(alice) == stored


def test_no_query_and_no_cursor_returns_foreign_tasks(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    fields = {"description": "shared word", "tags": ["t"], "priority": "high", "due_date": "2026-12-31"}
    for caller, title in ((alice, "hers 1"), (bob, "his 1"), (alice, "hers 2"), (bob, "his 2"), (alice, "hers 3")):
        caller.add(title, **fields)
    filters = ["", "status=pending", "priority=high", "tag=t", "due_before=2027-01-01", "search=shared", "search=hers"]
    for sort, order, given in product(SORTS, ("asc", "desc"), filters):
        query = f"sort={sort}&order={order}&{given}"
        theirs = alice.get(f"/api/tasks?{query}&limit=1")
        assert {task["user_id"] for task in read_tasks(theirs)} == {alice.user_id}
        url = str(read_next(theirs)).replace(f"/{alice.user_id}/", f"/{bob.user_id}/")
        for asked in (f"/api/tasks?{query}", url):
            assert {task["user_id"] for task in read_tasks(bob.get(asked))} <= {bob.user_id}


def test_users_create_and_list_only_their_own_tasks(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    alice.add("hers")
    read_task(bob.post(f"/api/{bob.user_id}/tasks", json={"title": "his", "user_id": alice.user_id}), 201)
    assert (alice.titles(), bob.titles()) == (["hers"], ["his"])


def test_similar_user_ids_are_different_users(service: Service) -> None:
    names = ["alice", "Alice", "alice ", "alic", "alice2", "al%", "a_ice", "álice", "a\u0301lice", "'", '"', "\\", "%s"]
    callers = [service.make_caller(name) for name in names]
    for caller in callers:
        caller.add(caller.user_id)
    assert [caller.titles() for caller in callers] == [[name.strip()] for name in names]


def read_missing(response: TestResponse) -> bytes:
    read_problem(response, 404)
    return bytes(response.data)


def check_walls(service: Service, *tables: str) -> None:
    """Fail if the owner filters were not removed from statements about each table, where this should be so.

    By default, from at least three about each of the tables that a write reads.
    """
    if service.walls == "the database alone":
        removed, least = service.app.extensions["isolation"].removed, 1 if tables else 3
        expected = set(tables) or {"tasks", "trash", "feeds"}
        assert expected <= {name for name, number in removed.items() if number >= least}, removed


def hide_what_differs(response: TestResponse, uid: str) -> tuple[Any, ...]:
    """Return a response without what differs between tasks: IDs, UIDs, times and versions."""
    text = response.text.replace(uid.lower(), "UID")
    if response.status_code in {200, 201}:
        assert '"uid":"UID"' in text
        text = re.sub(r'"id":\d+|\d+\.\d+\\""|\d{4}-\d\d-\d\dT[\d:.]+Z', "…", text)
    headers = {name: value for name, value in response.headers.items() if name not in {"X-Request-ID", "ETag"}}
    return response.status_code, text, {**headers, "Location": re.sub(r"\d+$", "…", headers.get("Location", ""))}


def read_cursor(response: TestResponse) -> str:
    """Return the cursor of the next page."""
    return str(read_next(response)).partition("cursor=")[2]

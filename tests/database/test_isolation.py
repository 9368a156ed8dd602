"""A user can never read, change or delete the data of another user, or learn that an id exists.

Two walls keep users apart: the owner filter in the application's queries, and row security for the role that they run
as. The tests run with both walls, and with each wall alone.
"""

import re
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import product
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.callers import Caller, operations_on_a_task, read_problem, read_task, read_tasks
from tests.support.databases import Database, Server, closing_pool
from tests.support.pages import read_next
from todo import create_app
from todo.database.connections import Connections
from todo.database.isolation import Isolation
from todo.database.statements import Statement
from todo.extensions import db
from todo.tasks.listing import SORTS

# Row security alone must hold for every login, since a superuser and an owner would bypass it without the role.
# The application's filters do not depend on the login. Both together are what production runs.
CONFIGURATIONS = [
    ("both walls", "web"),
    *(("the database alone", login) for login in Database.LOGINS),
    ("the application alone", "owner"),
]
MISSING = 2**62
IMPOSSIBLE = [
    "0", "-1", "+1", "01", "1.0", "1e3", "1_0", " 1", "1 ", "abc", "null", "tasks", "%31%00", "%00", "%ff",
    "\uff11", "' OR 1=1--", "..", ".", "*", str(2**63 - 1), str(2**63), "9" * 19, "1" * 40, "1" * 4000,
]  # fmt: skip
BODIES: list[dict[str, Any]] = [{}, {"json": {}}, {"json": {"title": "mine now", "completed": True}}]


class Ownerless(Isolation):
    """Send every statement without its owner filter."""

    removed = 0

    def fetch(self, user_id: str, statement: Statement[Any], *rest: Any, **options: Any) -> Sequence[Any]:
        changed = copy(statement)
        changed.name += "_ownerless"
        changed.text, removed = re.subn(r"todo\.tasks\.user_id = %\(owner\)s", "true", statement.text)
        # A prepared statement keeps its number of parameters.
        number = r"todo\.tasks\.user_id = (\$\d+)"
        changed.preparation = re.sub(number, r"(\1::text IS NOT NULL)", statement.preparation)
        self.removed += removed
        return super().fetch(user_id, changed, *rest, **options)


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
            database.run("ALTER TABLE todo.tasks DISABLE ROW LEVEL SECURITY")

    def make_caller(self, user_id: str | None = None) -> Caller:
        return Caller(self.app.test_client(), self.settings, user_id)


@pytest.fixture(scope="module", params=CONFIGURATIONS, ids=" as ".join)
def service(request: pytest.FixtureRequest, server: Server) -> Iterator[Service]:
    walls, login = request.param
    with server.database(migrated=True) as database:
        service = Service(database, login, walls)
        with closing_pool(service.app):
            yield service


def test_foreign_missing_and_impossible_ids_get_the_same_404(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    task = alice.add("hers", description="private")
    stored = service.database.run("SELECT * FROM todo.tasks")
    asked = 0
    for method, path in operations_on_a_task(service.app):
        for body, user_id in product(BODIES, [bob.user_id, alice.user_id]):
            answers = {
                task_id: read_missing(bob.call(method, path.format(task_id=task_id, user_id=user_id), **body))
                for task_id in [MISSING, task["id"], *IMPOSSIBLE]
            }
            assert len(set(answers.values())) == 1, (method, path, body, answers)
            asked += len(answers)
    assert asked > 500
    if service.walls == "the database alone":
        assert service.app.extensions["isolation"].removed > 20, "the owner filter was not removed from the statements"
    assert service.database.run("SELECT * FROM todo.tasks") == stored
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


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
    ids = [bob.add()["id"], alice.add()["id"], MISSING, "abc", "0", "01", "9" * 30]
    answers = [bob.patch(f"/api/tasks/{task_id}{path}", **body) for task_id in ids]
    assert {(answer.status_code, answer.data) for answer in answers} == {(status, answers[0].data)}


def test_the_list_path_of_another_user_is_404(service: Service) -> None:
    alice, bob = service.make_caller(), service.make_caller()
    alice.add("hers")
    for method in ("GET", "POST"):
        read_missing(bob.call(method, f"/api/{alice.user_id}/tasks", json={"title": "hers too"}))
    assert alice.titles() == ["hers"]


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

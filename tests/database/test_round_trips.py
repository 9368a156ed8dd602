"""Each request sends exactly one message to PostgreSQL, counted on the wire."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, islice, product
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import text

from config import Settings
from tests.support.callers import Caller, read_internal_problem, read_problem, read_task
from tests.support.databases import Database, closing_pool
from tests.support.pages import read_changes
from tests.support.wire import Wire
from todo import create_app
from todo.database import isolation
from todo.database.messages import MAX_PREPARED
from todo.extensions import db
from todo.tasks.listing import SORTS


@pytest.fixture(scope="module")
def wire(database: Database) -> Iterator[Wire]:
    with Wire(database.server.superuser_url) as wire:
        yield wire


@pytest.fixture(scope="module")
def wired_app(wire: Wire, database: Database) -> Iterator[tuple[Flask, Settings]]:
    settings = replace(wire.settings(database), lock_seconds=1)
    with closing_pool(create_app(settings)) as app:
        yield app, settings


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/tasks", None, 200),
        ("POST", "/api/tasks", {"title": "x", "description": "y", "completed": True}, 201),
        ("GET", "/api/tasks/{id}", None, 200),
        ("PUT", "/api/tasks/{id}", {"title": "new", "completed": True}, 200),
        ("PATCH", "/api/tasks/{id}", {"description": None}, 200),
        ("PATCH", "/api/tasks/{id}", {}, 200),
        ("PATCH", "/api/tasks/{id}/complete", None, 200),
        ("PATCH", "/api/tasks/{id}/complete", {"completed": True}, 200),
        ("DELETE", "/api/tasks/{id}", None, 204),
        ("POST", "/api/tasks/batch", {"operations": [{"op": "create", "task": {"title": "x"}}] * 100}, 200),
        ("GET", "/api/tasks/1000000000", None, 404),
        ("PATCH", "/api/tasks/1000000000", {"title": "x"}, 404),
        ("DELETE", "/api/tasks/1000000000", None, 404),
        ("GET", "/api/tasks/{deleted}", None, 404),
        ("GET", "/api/tasks/{uid}", None, 200),
        ("PUT", "/api/tasks/{uid}", {"title": "new"}, 200),
        ("PATCH", "/api/tasks/{uid}", {"description": "new"}, 200),
        ("PATCH", "/api/tasks/{uid}/complete", None, 200),
        ("DELETE", "/api/tasks/{uid}", None, 204),
        ("PUT", "/api/tasks/{new}", {"title": "new"}, 201),
        ("PUT", "/api/tasks/{new}", {"completed": True}, 422),
        ("PUT", "/api/tasks/{deleted_uid}", {"title": "new"}, 410),
        ("GET", "/api/tasks/changes", None, 200),
        ("GET", "/api/tasks/changes?limit=1&cursor={cursor}", None, 200),
        ("GET", "/api/tasks/changes?cursor={foreign}", None, 410),
        ("GET", "/api/tasks/calendar.ics", None, 200),
        ("GET", "/api/trash", None, 200),
        ("GET", "/api/trash?limit=1", None, 200),
        ("POST", "/api/trash/{deleted}/restore", None, 200),
        ("POST", "/api/trash/{deleted_uid}/restore", None, 200),
        ("POST", "/api/trash/{id}/restore", None, 404),
        ("DELETE", "/api/trash/{deleted}", None, 204),
        ("DELETE", "/api/trash/{deleted_uid}", None, 204),
        ("DELETE", "/api/trash/{uid}", None, 404),
        ("DELETE", "/api/trash", None, 204),
        ("GET", "/api/{user}/tasks", None, 200),
        ("GET", "/api/tasks?sort=due_date&order=desc&limit=1", None, 200),
        ("GET", "/api/tasks?sort=priority&status=pending&tag=x&priority=low&due_before=2026-12-31", None, 200),
        ("GET", "/api/tasks?sort=title&search=some words&completed=true&limit=5", None, 200),
    ],
)
def test_an_operation_is_one_message(
    wire: Wire, wired_app: tuple[Flask, Settings], method: str, path: str, body: Any, status: int
) -> None:
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    task, deleted = caller.add(), caller.add_for("/trash/")
    names = {"id": task["id"], "uid": task["uid"], "deleted": deleted["id"], "deleted_uid": deleted["uid"]}
    names |= {"new": uuid4(), "user": caller.user_id, "cursor": read_changes(caller)[1]}
    if "{foreign}" in path:
        other = Caller(app.test_client(), settings)
        other.add()
        names["foreign"] = read_changes(other)[1]
    wire.messages.clear()
    assert caller.call(method, path.format(**names), json=body).status_code == status
    assert [kind for kind, _ in wire.messages] == ["Q"]
    assert caller.user_id in wire.messages[0][1]


@pytest.mark.parametrize("max_tasks", [None, 3])
def test_completing_and_reopening_recurring_tasks_are_one_message(
    wire: Wire, wired_app: tuple[Flask, Settings], max_tasks: int | None
) -> None:
    _, settings = wired_app
    with closing_pool(create_app(replace(settings, max_tasks=max_tasks))) as app:
        caller = Caller(app.test_client(), settings)
        task = caller.add(due_date="2026-11-30", remind_at="2026-11-30T09:00:00Z", recurrence={"rule": "FREQ=DAILY"})
        batches = [{"operations": [{"op": "complete", "id": task["id"], "completed": each}]} for each in (True, False)]
        requests: list[tuple[str, str, Any]] = [
            *(("PATCH", f"/api/tasks/{task['id']}/complete", None) for _ in range(2)),
            *(("PATCH", f"/api/tasks/{task['uid']}", {"completed": each}) for each in (True, True, False)),
            *(("PUT", f"/api/tasks/{task['uid']}", {"completed": each}) for each in (True, False)),
            *(("POST", "/api/tasks/batch", batch) for batch in batches),
        ]
        for method, path, body in requests:
            wire.messages.clear()
            assert caller.call(method, path, json=body).status_code == 200
            assert [kind for kind, _ in wire.messages] == ["Q"]
        assert caller.titles() == ["Buy milk"]
        # Without room, too.
        for _ in range(2):
            caller.add()
        wire.messages.clear()
        assert caller.patch(f"/api/tasks/{task['id']}/complete").status_code == (200 if max_tasks is None else 403)
        assert [kind for kind, _ in wire.messages] == ["Q"]


def test_a_refusal_of_a_version_is_one_message(wire: Wire, wired_app: tuple[Flask, Settings]) -> None:
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    task = caller.add()
    operations = [("PUT", ""), ("PATCH", ""), ("PATCH", "/complete"), ("DELETE", "")]
    for (method, end), name in product(operations, (task["id"], task["uid"], uuid4())):
        wire.messages.clear()
        options: dict[str, Any] = {"json": {"title": "x", "completed": True}, "headers": {"If-Match": '"1.1"'}}
        # PUT with a new UID and If-Match creates nothing, so it has no version.
        status = 404 if isinstance(name, UUID) and (method, end) != ("PUT", "") else 412
        read_problem(caller.call(method, f"/api/tasks/{name}{end}", **options), status)
        assert [kind for kind, _ in wire.messages] == ["Q"]


def test_a_statement_is_prepared_once_per_connection(wire: Wire, wired_app: tuple[Flask, Settings]) -> None:
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    skip_without_preparing(caller, wire)
    with app.app_context():
        db.engine.dispose()
    for prepares in (True, False, False):
        wire.messages.clear()
        caller.titles()
        [message] = [text for _, text in wire.messages if "EXECUTE" in text]
        assert message.count("PREPARE todo_") == 2 * prepares
        assert message.count("EXECUTE todo_") == 2


def test_prepared_statements_keep_no_values_of_users(wired_app: tuple[Flask, Settings]) -> None:
    """PostgreSQL keeps the text of each prepared statement for as long as the connection lasts."""
    app, settings = wired_app
    caller = Caller(app.test_client(), settings, "a-user-who-comes-first")
    with app.app_context():
        db.engine.dispose()
    caller.add("private")
    with app.app_context(), isolation.administration() as connection:
        texts = connection.execute(text("SELECT statement FROM pg_prepared_statements")).scalars().all()
    assert not [each for each in texts if "private" in each or caller.user_id in each]


def test_an_error_does_not_spoil_prepared_statements(
    wire: Wire, wired_app: tuple[Flask, Settings], database: Database
) -> None:
    """The first use of a statement on a connection fails, before or after the statement is prepared."""
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    task = caller.add()
    for body in ({"title": "locked"}, {"priority": "low"}, {"title": "locked", "priority": "low"}):
        with database.transaction() as execute:
            execute("SELECT FROM todo.tasks WHERE id = %s FOR UPDATE", (task["id"],))
            read_internal_problem(caller.patch(f"/api/tasks/{task['id']}", json=body), 503)
        assert (
            read_task(caller.patch(f"/api/tasks/{task['id']}", json=body)) | body
            == caller.get(f"/api/tasks/{task['id']}").json
        )


def test_a_connection_keeps_a_limited_number_of_plans(wire: Wire, wired_app: tuple[Flask, Settings]) -> None:
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    skip_without_preparing(caller, wire)
    for query in write_queries(2 * MAX_PREPARED):
        assert caller.get(f"/api/tasks?{query}").status_code == 200
        assert caller.titles() == []
    with app.app_context(), isolation.administration() as connection:
        prepared = connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    assert 0 < prepared <= MAX_PREPARED + 1


def test_citus_gets_the_settings_in_the_same_message(wire: Wire, database: Database) -> None:
    """CITUS=on: a block passes the settings on to the shards. On a single PostgreSQL it changes nothing."""
    settings = replace(wire.settings(database), citus="on")
    with closing_pool(create_app(settings)) as app:
        caller = Caller(app.test_client(), settings)
        caller.add()
        wire.messages.clear()
        assert caller.titles() == ["Buy milk"]
        [(kind, message)] = wire.messages
        assert kind == "Q"
        assert "pg_catalog.set_config('citus.propagate_set_commands', 'local', true), " in message.split("SELECT")[1]
        assert "; DO $$ " in message
        assert "PREPARE" not in message


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/api/tasks/abc", {}, 404),
        ("GET", f"/api/tasks/{2**63}", {}, 404),
        ("GET", "/api/mallory/tasks", {}, 404),
        ("GET", "/api/mallory/trash", {}, 404),
        ("GET", "/api/mallory/tasks/changes", {}, 404),
        ("GET", "/api/mallory/tasks/calendar.ics", {}, 404),
        ("GET", "/api/tasks/calendar.ics?x=y", {}, 422),
        ("PUT", "/api/tasks/abc", {"json": {"title": "x"}}, 404),
        ("PUT", f"/api/tasks/{UUID(int=1)}", {"json": {"title": ""}}, 422),
        ("POST", "/api/trash/abc/restore", {}, 404),
        ("DELETE", "/api/trash/abc", {}, 404),
        ("GET", "/api/trash?limit=0", {}, 422),
        ("GET", "/api/trash?cursor=nonsense", {}, 400),
        ("GET", "/api/tasks/changes?cursor=nonsense", {}, 400),
        ("POST", "/api/tasks", {"json": {"title": ""}}, 422),
        ("POST", "/api/tasks", {"data": "x"}, 415),
        ("PUT", "/api/tasks", {}, 405),
        ("GET", "/api/tasks?sort=nonsense", {}, 422),
        ("GET", "/api/tasks?cursor=nonsense", {}, 400),
        ("GET", "/healthz", {}, 200),
        ("GET", "/api/openapi.json", {}, 200),
    ],
)
def test_requests_that_need_no_database_send_nothing(
    wire: Wire, wired_app: tuple[Flask, Settings], method: str, path: str, options: Any, status: int
) -> None:
    app, settings = wired_app
    caller = Caller(app.test_client(), settings)
    caller.titles()
    wire.messages.clear()
    assert caller.call(method, path, **options).status_code == status
    assert wire.messages == []


def test_a_query_without_a_user_never_reaches_the_database(wire: Wire, wired_app: tuple[Flask, Settings]) -> None:
    app, settings = wired_app
    Caller(app.test_client(), settings).titles()
    wire.messages.clear()
    with app.app_context(), pytest.raises(isolation.NoUserError):
        db.session.connection().exec_driver_sql("SELECT 1")
    assert wire.messages == []


def skip_without_preparing(caller: Caller, wire: Wire) -> None:
    """Skip the test if the service prepares no statement, as in two of CI's environments."""
    caller.titles()
    wire.messages.clear()
    caller.titles()
    if "EXECUTE todo_" not in wire.messages[0][1]:
        pytest.skip("Behind a pooler, and on Citus, no statement is prepared.")


def write_queries(number: int) -> Iterator[str]:
    """Yield queries of lists that are different statements."""
    orders = [(sort, order) for sort in SORTS for order in ("asc", "desc")]
    filters = ["status=pending", "priority=low", "tag=t", "due_before=2027-01-01", "due_after=2026-01-01", "search=x"]
    choices = [chosen for size in range(len(filters)) for chosen in combinations(filters, size)]
    for (sort, order), chosen in islice(product(orders, choices), number):
        yield "&".join([f"sort={sort}", f"order={order}", *chosen])

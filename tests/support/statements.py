"""Every statement that the service sends, found by calling all operations and commands."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import _lru_cache_wrapper
from itertools import product, repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from flask import Flask

from tests.support.callers import Caller, operations_on_a_task, read_task
from tests.support.databases import Database, closing_pool
from tests.support.pages import read_changes, read_next
from todo import create_app
from todo.database.isolation import Isolation
from todo.database.rows import COLUMNS, RowStatement
from todo.database.statements import Statement
from todo.tasks import limits
from todo.tasks.listing import FILTERS, SORTS
from todo.tasks.resource import TASKS

EXAMPLE = {name: TASKS.example[name] for name in TASKS.requests}
VALUES = {
    "status": "pending", "completed": "false", "priority": "high", "tag": "home", "due_before": "2027-01-01",
    "due_after": "2026-01-01", "remind_before": "2027-01-01", "remind_after": "2026-01-01", "search": "x",
}  # fmt: skip


def record_statements(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Mapping[str, Any]]:
    """Return the text of each statement, and values for it, of which the owner is "alice". Alice has tasks then.

    Fails if the service has a statement, or a function that builds statements, that was not used.
    """
    sent: dict[str, Mapping[str, Any]] = {}
    send = Isolation.fetch

    def fetch(self: Isolation, user_id: str, statement: Statement[Any], values: Any, **options: Any) -> Sequence[Any]:
        sent.setdefault(statement.text, {**statement.constants, **values, "owner": "alice"})
        return send(self, user_id, statement, values, **options)

    monkeypatch.setattr(Isolation, "fetch", fetch)
    caches = find_in_service(_lru_cache_wrapper)
    builders = [each for each in caches if "Statement" in str(each.__annotations__.get("return"))]
    for builder in builders:
        builder.cache_clear()
    settings = database.settings("web")
    # One deletion in 16 also looks for old tasks in the trash.
    for list_format, max_tasks, deletions in (("array", None, 1), ("array", None, 16), ("object", 1000, 1)):
        monkeypatch.setattr(limits, "DELETIONS", repeat(deletions))
        with closing_pool(create_app(replace(settings, list_format=list_format, max_tasks=max_tasks))) as app:
            call_all_operations(app, Caller(app.test_client(), settings, "alice"), folder / "export")
    assert set(VALUES) == {*FILTERS, "search"}
    of_rows = [vars(each)["_build"](column) for each in find_in_service(RowStatement) for column in COLUMNS.values()]
    of_tables = {each.text for each in (*find_in_service(Statement), *of_rows) if " todo." in each.text}
    assert of_tables - set(sent) == set()
    assert [builder.__name__ for builder in builders if builder.cache_info().currsize == 0] == []
    return sent


def find_in_service(kind: type) -> list[Any]:
    """Return the global values of this type in all modules of the service, also those in dictionaries."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "todo"]
    values = [value for module in modules for value in vars(module).values()]
    values += [each for value in values if isinstance(value, dict) for each in value.values()]
    return [value for value in values if type(value) is kind]


def call_all_operations(app: Flask, caller: Caller, file: Path) -> None:
    """Call each operation and command that sends a statement, with each field, filter and order."""
    changes = [{}, EXAMPLE, *({name: value} for name, value in EXAMPLE.items())]
    # The other spelling of a path sends the same statement.
    operations = [(method, path) for method, path in operations_on_a_task(app) if "{user_id}" not in path]
    for (method, path), change, name in product(operations, changes, ("id", "uid")):
        task = caller.add_for(path)
        response = caller.call(method, path.format(task_id=task[name]), json=change)
        assert response.status_code in {200, 204, 422}, response.text
    for change in changes:
        response = caller.put(f"/api/tasks/{uuid4()}", json=change)
        assert response.status_code == (201 if "title" in change else 422), response.text
        response = caller.put(f"/api/tasks/{uuid4()}", json=change, headers={"If-Match": '"1.1"'})
        assert response.status_code == 412, response.text
    for headers in ({}, {"Idempotency-Key": "batch"}):
        batch = [{"op": "create", "task": EXAMPLE}, {"op": "delete", "uid": caller.add()["uid"]}]
        batch += [{"op": "update", "id": caller.add()["id"], "changes": EXAMPLE}]
        response = caller.post("/api/tasks/batch", json={"operations": batch}, headers=headers)
        assert response.status_code == 200, response.text
    for limit in (10, 1000):
        read_changes(caller, limit=limit)
    assert caller.get("/api/tasks/calendar.ics").status_code == 200
    walk(caller, "/api/trash?limit=1")
    walk(caller, "/api/trash?limit=100")
    assert caller.delete("/api/trash").status_code == 204
    run_command = app.test_cli_runner().invoke
    file.write_text(run_command(args=["user", "export", caller.user_id]).stdout)
    run_command(args=["user", "delete", caller.user_id, "--yes"])
    assert run_command(args=["user", "import", caller.user_id, str(file)]).exit_code == 0
    run_command(args=["user", "delete", caller.user_id, "--yes"])
    # Two tasks with a due date and two without, so the pages of one task begin after a task of either kind.
    for number, due_date in enumerate([EXAMPLE["due_date"]] * 2 + [None] * 2):
        recurrence = due_date and EXAMPLE["recurrence"]
        task = EXAMPLE | {"title": f"x{number}", "due_date": due_date, "recurrence": recurrence, "completed": False}
        read_task(caller.post("/api/tasks", json=task, headers={"Idempotency-Key": str(number)}), 201)
    orders = [{"sort": sort, "order": order} for sort, order in product(SORTS, ["asc", "desc"])]
    filters = [{name: value} for name, value in VALUES.items()]
    for query in [*orders, *(order | VALUES for order in orders), *filters]:
        walk(caller, f"/api/tasks?{urlencode({**query, 'limit': 1})}")


def walk(caller: Caller, page: str | None) -> None:
    """Request all pages of a list, which can be of any format."""
    while page:
        response = caller.get(page)
        assert response.status_code == 200, response.text
        page = read_next(response)

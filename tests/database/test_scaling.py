"""Partition a large table as docs/scaling.md describes, without any change for users."""

import json
import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.support.callers import Caller, operations_on_a_task, read_problem, read_task, read_tasks
from tests.support.citus import CitusServer
from tests.support.commands import ROOT, run
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.statements import record_statements
from todo import create_app

[PARTITION] = re.findall(r"```sql\n(BEGIN;.*?COMMIT;)\n```", (ROOT / "docs" / "scaling.md").read_text(), re.DOTALL)


def partition(database: Database) -> None:
    if isinstance(database.server, CitusServer):
        pytest.skip("A table cannot be both partitioned like this and distributed.")
    with closing(psycopg2.connect(database.url())) as owner:
        owner.autocommit = True
        owner.cursor().execute(PARTITION)


def test_a_table_partitioned_by_user_serves_all_operations(own_database: Database) -> None:
    settings = own_database.settings("web")
    with closing_pool(create_app(settings)) as app:
        alice, bob = (Caller(app.test_client(), settings) for _ in range(2))
        rule = {"rule": "FREQ=WEEKLY", "from": "due", "time_zone": "Europe/Berlin"}
        fields = {"due_date": "2099-01-01", "remind_at": "2099-01-01T07:00:00Z", "recurrence": rule}
        before = alice.add("before", tags=["home"], completed=True, **fields)
        recurring = alice.add("recurring", **fields)
        alice.patch(f"/api/tasks/{recurring['id']}", json={"due_date": "2099-01-02"})
        alice.delete(f"/api/tasks/{alice.add('gone')['id']}")
        indexes = (
            "SELECT indexname FROM pg_indexes WHERE schemaname = 'todo' AND tablename = 'tasks' ORDER BY indexname"
        )
        existing = own_database.run(indexes)
        partition(own_database)
        assert own_database.run(indexes) == existing
        assert app.test_client().get("/readyz").status_code == 200
        assert read_task(alice.get(f"/api/tasks/{before['id']}")) == before
        after = alice.add("after")
        assert after["id"] == before["id"] + 3
        next_id = read_task(alice.patch(f"/api/tasks/{recurring['id']}/complete"))["next_id"]
        assert read_task(alice.get(f"/api/tasks/{next_id}"))["due_date"] == "2099-01-08"
        again = [alice.post("/api/tasks", json={"title": "once"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert read_task(again[0], 201) == read_task(again[1], 201)
        done = read_task(alice.patch(f"/api/tasks/{after['id']}", json={"title": "changed", "completed": True}))
        found = alice.get("/api/tasks?sort=due_date&status=completed&search=e&due_before=2099-01-01")
        assert read_tasks(found) == [before]
        assert read_tasks(alice.get("/api/tasks?search=changed")) == [done]
        for method, path in operations_on_a_task(app):
            read_problem(
                bob.call(method, path.format(task_id=after["id"], user_id=bob.user_id), json={"completed": True}), 404
            )
        assert alice.delete(f"/api/tasks/{after['id']}").status_code == 204
        assert bob.titles() == []
    parts = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'tasks\\_%'"
    assert own_database.run(parts) == [(16,)]
    upgraded = run("flask", "db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url()})
    assert upgraded.returncode == 0, upgraded.stderr


def test_each_statement_plans_only_the_partition_of_its_user(
    own_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = record_statements(own_database, tmp_path, monkeypatch)
    partition(own_database)
    [(own,)] = own_database.run(
        "SELECT relname FROM pg_class, todo.tasks WHERE pg_class.oid = tasks.tableoid AND user_id = 'alice' LIMIT 1"
    )
    with closing(psycopg2.connect(own_database.url("web"))) as connection, connection.cursor() as cursor:
        plans = {text: explain(cursor, text, values) for text, values in statements.items()}
    # An INSERT plans no partition: it finds the one of its row when it is executed.
    reads = re.compile(r"\b(FROM|JOIN|UPDATE) todo\.tasks\b")
    assert {text: each for text, each in plans.items() if each != ({own} if reads.search(text) else set())} == {}
    assert sum(bool(reads.search(text)) for text in plans) > 120


def explain(cursor: Any, text: str, values: Mapping[str, Any]) -> set[str]:
    """Return the partitions of todo.tasks that the plan of a statement, or of its parts, names.

    PostgreSQL also plans the partitions that it removes when execution begins, by the rule of row security. The plan
    has only their number, which is returned instead.
    """
    partitions: set[str] = set()
    for part in text.split("; "):
        cursor.execute(
            "SELECT set_config('role', 'todo_app', true), set_config('todo.user_id', %(owner)s, true);"
            f" EXPLAIN (FORMAT JSON) {part}",
            values,
        )
        [(plan,)] = cursor.fetchall()
        found = re.findall(r'"Relation Name": "(tasks_\d+)"|("Subplans Removed": [1-9]\d*)', json.dumps(plan))
        partitions |= {name or removed for name, removed in found}
    return partitions

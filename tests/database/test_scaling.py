"""Partition a large table as docs/scaling.md describes, without any change for users."""

import re
from contextlib import closing

import psycopg2

from tests.support.callers import Caller, operations_on_a_task, read_problem, read_task, read_tasks
from tests.support.commands import ROOT, run
from tests.support.databases import SECRET, Database, closing_pool
from todo import create_app

[PARTITION] = re.findall(r"```sql\n(BEGIN;.*?COMMIT;)\n```", (ROOT / "docs" / "scaling.md").read_text(), re.DOTALL)


def test_a_table_partitioned_by_user_serves_all_operations(own_database: Database) -> None:
    settings = own_database.settings("web")
    with closing_pool(create_app(settings)) as app:
        alice, bob = (Caller(app.test_client(), settings) for _ in range(2))
        before = alice.add("before", tags=["home"], due_date="2026-12-31", completed=True)
        alice.delete(f"/api/tasks/{alice.add('gone')['id']}")
        with closing(psycopg2.connect(own_database.url())) as owner:
            owner.autocommit = True
            owner.cursor().execute(PARTITION)
        assert app.test_client().get("/readyz").status_code == 200
        assert read_task(alice.get(f"/api/tasks/{before['id']}")) == before
        after = alice.add("after")
        assert after["id"] == before["id"] + 2
        again = [alice.post("/api/tasks", json={"title": "once"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert read_task(again[0], 201) == read_task(again[1], 201)
        done = read_task(alice.patch(f"/api/tasks/{after['id']}", json={"title": "changed", "completed": True}))
        found = alice.get("/api/tasks?sort=due_date&status=completed&search=e")
        assert read_tasks(found) == [before, done]
        for method, path in operations_on_a_task(app):
            read_problem(
                bob.call(method, path.format(task_id=after["id"], user_id=bob.user_id), json={"title": "x"}), 404
            )
        assert alice.delete(f"/api/tasks/{after['id']}").status_code == 204
        assert bob.titles() == []
    parts = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'tasks\\_%'"
    assert own_database.run(parts) == [(16,)]
    upgraded = run("flask", "db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url()})
    assert upgraded.returncode == 0, upgraded.stderr

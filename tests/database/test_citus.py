"""What needs a Citus cluster. ``make test-citus`` runs the other tests on it too."""

import json
import re
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.callers import Caller, read_problem, read_task
from tests.support.citus import CitusServer
from tests.support.databases import Database, Server, closing_pool
from tests.support.statements import record_statements
from todo import create_app


@pytest.fixture(autouse=True)
def workers(own_database: Database) -> list[Server]:
    if not isinstance(own_database.server, CitusServer):
        pytest.skip("needs a Citus cluster: make test-citus COORDINATOR=postgresql://…")
    return own_database.server.nodes[1:]


def test_each_statement_is_one_task_on_one_shard(
    own_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = record_statements(own_database, tmp_path, monkeypatch)
    tasks = {}
    with closing(psycopg2.connect(own_database.url("web"))) as connection, connection.cursor() as cursor:
        cursor.execute("SET citus.propagate_set_commands = 'local'")
        # Statements of their own: Citus passes each SET on with the whole message that it came in.
        for setting in ("ROLE todo_app", "todo.user_id = 'alice'"):
            cursor.execute(f"SET LOCAL {setting}")
        for text, values in statements.items():
            for part in text.split("; "):
                cursor.execute(f"EXPLAIN (FORMAT JSON) {part}", values)
                tasks[part] = set(re.findall(r'"Task Count": (\d+)', json.dumps(cursor.fetchall())))
    assert len(tasks) > 100
    assert {part: numbers for part, numbers in tasks.items() if numbers != ({"1"} if " todo." in part else set())} == {}


def test_readyz_fails_while_a_worker_refuses_the_role(
    own_database: Database, workers: list[Server], caplog: pytest.LogCaptureFixture
) -> None:
    with closing_pool(create_app(own_database.settings("web"))) as app:
        assert app.test_client().get("/readyz").status_code == 200
    revoke = f"SET citus.enable_ddl_propagation = off; REVOKE CONNECT ON DATABASE {own_database.name} FROM PUBLIC"
    workers[-1].run(revoke)
    with closing_pool(create_app(own_database.settings("web"))) as app:
        read_problem(app.test_client().get("/readyz"), 503)
    assert "Not ready: a shard does not serve users: " in caplog.text
    assert f"todo_app@{workers[-1].superuser_url.host}:{workers[-1].superuser_url.port}" in caplog.text


def test_readyz_fails_while_a_worker_is_away(
    own_database: Database, workers: list[Server], caplog: pytest.LogCaptureFixture
) -> None:
    own_database.run("UPDATE pg_dist_node SET nodeport = 1 WHERE nodeport = %s", (workers[-1].superuser_url.port,))
    with closing_pool(create_app(own_database.settings("web"))) as app:
        read_problem(app.test_client().get("/readyz"), 503)
    assert "Not ready: a shard does not serve users: " in caplog.text
    assert "Connection refused" in caplog.text


def test_readyz_fails_on_a_cluster_without_the_setting(
    own_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with closing_pool(create_app(own_database.settings("web", citus="off"))) as app:
        read_problem(app.test_client().get("/readyz"), 503)
    assert "todo.tasks is distributed by Citus, but CITUS is off" in caplog.text


def test_readyz_fails_if_one_table_is_not_distributed(own_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    own_database.run("SELECT undistribute_table('todo.idempotency_keys')")
    with closing_pool(create_app(own_database.settings("web"))) as app:
        read_problem(app.test_client().get("/readyz"), 503)
    assert "todo.idempotency_keys is not distributed by Citus like other tables" in caplog.text


def test_a_database_that_passes_on_settings_is_served(own_database: Database) -> None:
    own_database.run(f"ALTER DATABASE {own_database.name} SET citus.propagate_set_commands = 'local'")
    settings = own_database.settings("web")
    with closing_pool(create_app(settings)) as app:
        alice = Caller(app.test_client(), settings)
        task = alice.add()
        read_task(alice.patch(f"/api/tasks/{task['id']}", json={"completed": True}))
        assert alice.titles() == [task["title"]]

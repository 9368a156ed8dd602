"""Two releases on one database: today's code on the schema of the next release, as docs/deploy.md requires."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask

from config import Settings
from tests.support.callers import Caller, operations_on_a_task, read_problem, read_task, read_tasks
from tests.support.commands import ROOT, run
from tests.support.databases import SECRET, Database, closing_pool
from todo import create_app
from todo.database.audit import newest_migration

HEADER = """
import sqlalchemy as sa
from alembic import op

revision = "tomorrow"
down_revision = "{today}"


def upgrade() -> None:
    {change}


def downgrade() -> None:
    pass
"""
EXPAND = """
    op.add_column("tasks", sa.Column("colour", sa.Text()), schema="todo")
    op.add_column("tasks", sa.Column("pinned", sa.Boolean(), server_default=sa.false(), nullable=False), schema="todo")
    op.execute("GRANT UPDATE (colour, pinned) ON todo.tasks TO todo_app")
    op.create_table("labels", sa.Column("user_id", sa.Text(), nullable=False),
                    sa.Column("id", sa.BigInteger(), sa.Identity(always=True)), schema="todo")
    op.create_table("Tomorrow's", sa.Column("n", sa.Integer()), schema="todo")
    op.execute("ALTER TABLE todo.labels ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY labels_of_the_user ON todo.labels TO todo_app"
               " USING (user_id = current_setting('todo.user_id', true))"
               " WITH CHECK (user_id = current_setting('todo.user_id', true))")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY tasks_by_colour ON todo.tasks (user_id, colour, id)")
"""
Upgrade = Callable[[str], None]


def write_release(folder: Path, change: str) -> Path:
    """Make a folder of migrations with one more than this release has."""
    migrations = shutil.copytree(ROOT / "migrations", folder / "migrations")
    content = HEADER.format(today=newest_migration(), change=change.strip() or "pass")
    (migrations / "versions" / "tomorrow.py").write_text(content)
    return migrations


@pytest.fixture
def settings(own_database: Database) -> Settings:
    return own_database.settings("web")


@pytest.fixture
def app(own_database: Database, settings: Settings) -> Iterator[Flask]:
    with closing_pool(create_app(settings)) as app:
        yield app


@pytest.fixture
def upgrade(own_database: Database, tmp_path: Path) -> Upgrade:
    """Migrate as the next release does."""

    def upgrade(change: str) -> None:
        with create_app(own_database.settings()).app_context():
            flask_migrate.upgrade(directory=str(write_release(tmp_path, change)))
        assert own_database.run("SELECT version_num FROM todo.alembic_version") == [("tomorrow",)]

    return upgrade


def test_a_release_works_on_the_schema_of_the_next(app: Flask, alice: Caller, upgrade: Upgrade) -> None:
    """Checks requests before and after the migration, and tasks stored on the other side of it."""
    before = alice.add("before", tags=["home"], due_date="2026-12-31")
    upgrade(EXPAND)
    assert app.test_client().get("/readyz").status_code == 200
    assert read_task(alice.get(f"/api/tasks/{before['id']}")) == before
    for method, path in operations_on_a_task(app):
        task = alice.add_for(path, "after", priority="low")
        url = path.format(task_id=task["id"], user_id=alice.user_id)
        answer = alice.call(method, url, json={"title": "changed", "completed": True})
        assert answer.status_code == (204 if method == "DELETE" else 200)
    again = [alice.post("/api/tasks", json={"title": "once"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert read_task(again[0], 201) == read_task(again[1], 201)
    assert read_tasks(alice.get("/api/tasks?search=before&tag=home&sort=due_date")) == [before]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('op.drop_column("tasks", "priority", schema="todo")', "todo.tasks.priority is not there"),
        ('op.alter_column("tasks", "title", new_column_name="name", schema="todo")', "todo.tasks.title is not there"),
        ('op.drop_table("idempotency_keys", schema="todo")', "todo.idempotency_keys.key is not there"),
        (
            'op.add_column("tasks", sa.Column("place", sa.Text(), nullable=False), schema="todo")',
            "todo.tasks.place must be given",
        ),
    ],
)
def test_readyz_fails_on_a_schema_that_no_longer_fits(
    app: Flask, upgrade: Upgrade, caplog: pytest.LogCaptureFixture, change: str, reason: str
) -> None:
    upgrade(change)
    read_problem(app.test_client().get("/readyz"), 503)
    assert reason in caplog.text


@pytest.mark.usefixtures("app")
def test_an_older_release_finds_nothing_to_migrate(own_database: Database, upgrade: Upgrade) -> None:
    """Container platforms run the migrations before every start, also after a rollback."""
    upgrade(EXPAND)
    again = run("flask", "db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url()})
    assert again.returncode == 0, again.stderr
    assert "at migration tomorrow of a newer release. There is nothing to do" in again.stderr
    assert own_database.run("SELECT version_num FROM todo.alembic_version") == [("tomorrow",)]

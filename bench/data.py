"""What the benchmarks measure with: databases of sample tasks, and the users that send requests."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import click
import jwt

from bench.clients import STATUSES, User
from bench.postgres import Postgres, execute
from bench.services import ROOT, SECRET, run
from config import Settings
from todo import create_app
from todo.extensions import db
from todo.tasks.samples import add_tasks

TASKS_PER_USER = 50
ACTIVE_USERS = 200
TOKEN_SECONDS = 24 * 60 * 60

# The columns that tell when a row was stored. A deleted task keeps its time of creation.
TIMES = """
    SELECT format('%I.%I', table_schema, table_name), column_name FROM information_schema.columns
    WHERE column_name IN ('created_at', 'deleted_at')
"""

# Releases without a trash are compared too.
FILL_TRASH = """
    DO $$ BEGIN IF to_regclass('todo.trash') IS NOT NULL THEN
      INSERT INTO todo.trash (user_id, id, title, created_at, deleted_at)
      SELECT user_id, -id, title, created_at, now() - interval '2 days' FROM todo.tasks WHERE id % 5 = 0;
    END IF; END $$
"""

Users = Mapping[str, Sequence[User]]  # by operation


def create_database(postgres: Postgres, name: str, root: Path = ROOT, template: str = "template1") -> str:
    """Create a database with this service's tables, or those of another checkout, and return its URL."""
    execute(postgres.url, f"CREATE DATABASE {name} TEMPLATE {template}")
    database_url = urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
    run("flask", "db", "upgrade", database_url=database_url, root=root)
    return database_url


@contextmanager
def connect_app(database_url: str) -> Iterator[None]:
    """Enter this service's application context, for its queries; close its connections at the end."""
    app = create_app(Settings.read({"NEON_DB_URL": database_url, "BETTER_AUTH_SECRET": SECRET}))
    with app.app_context():
        yield
        db.engine.dispose()


def fill(database_url: str, amounts: Iterable[tuple[str, int]], label: str) -> None:
    """Store sample tasks; ``amounts`` lists users and how many tasks to add for each."""
    amounts = list(amounts)
    total = sum(amount for _, amount in amounts)
    random = Random(total)  # noqa: S311 - the same tasks in each run
    with connect_app(database_url), click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        for user_id, amount in amounts:
            for added in add_tasks(user_id, amount, random):
                bar.update(added)
    execute(database_url, "VACUUM ANALYZE")  # PostgreSQL does this by itself, but later.


def fill_trash(database_url: str) -> None:
    """Store deleted tasks, where there is a trash: PostgreSQL would plan differently for an empty table."""
    execute(database_url, FILL_TRASH)
    execute(database_url, "VACUUM ANALYZE")


def create_tables(postgres: Postgres, users: int) -> str:
    """Create a database in which each service has a table with the same tasks; return its URL."""
    database_url = create_database(postgres, "bench")
    fill(database_url, ((f"user{number}", TASKS_PER_USER) for number in range(users)), f"Tasks of {users:,} users")
    for module, table in (("bench.peer", "task"), ("bench.floor", "tasks")):
        run("python", "-m", module, database_url=database_url)
        # JSON converts the columns by name, and text to the peer's enum.
        execute(
            database_url,
            f"""
            INSERT INTO {table} SELECT copy.*
            FROM (SELECT *, due_at AS due_date FROM todo.tasks ORDER BY id) AS task,
              jsonb_populate_record(NULL::{table}, to_jsonb(task)) AS copy;
            SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}
            """,
        )
    fill_trash(database_url)
    execute(database_url, "CHECKPOINT")  # Otherwise one would run during a measurement.
    return database_url


def restore_tables(database_url: str) -> None:
    """Delete the rows that requests stored, and vacuum, so that all tables keep their size."""
    for table, column in execute(database_url, TIMES):
        # The sample tasks are days old.
        execute(database_url, f"DELETE FROM {table} WHERE {column} > now() - interval '1 day'")
    execute(database_url, "VACUUM")


def choose_users(database_url: str) -> Users:
    """Choose the users that send requests. Those who create or delete tasks list none, so the lists keep their size."""
    rows = execute(database_url, "SELECT user_id, array_agg(id ORDER BY id) FROM todo.tasks GROUP BY 1 ORDER BY 1")
    third = min(ACTIVE_USERS, len(rows) // 3)
    chosen = Random(third).sample(rows, 3 * third)  # noqa: S311 - the same users in each run
    users = [User(make_token(user_id), task_ids) for user_id, task_ids in chosen]
    parts = {"create": users[third : 2 * third], "delete": users[2 * third :]}
    return {operation: parts.get(operation, users[:third]) for operation in STATUSES}


def make_token(user_id: str) -> str:
    """Return a token as Better Auth signs it with a shared secret."""
    now = int(time.time())
    return jwt.encode({"sub": user_id, "iat": now, "exp": now + TOKEN_SECONDS}, SECRET, algorithm="HS256")

"""What the benchmarks measure with: a PostgreSQL of their own, sample tasks, and the users that send requests."""

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import click
import jwt
import psycopg2

from bench.clients import OPERATIONS, User
from bench.services import SECRET, run
from config import Settings
from embedded import EmbeddedPostgres
from todo import create_app
from todo.extensions import db
from todo.tasks.samples import add_tasks

# A usual share of a server's memory. PostgreSQL's default is 128 MB.
SHARED_BUFFERS = "1GB"
TASKS_PER_USER = 50
ACTIVE_USERS = 200
TOKEN_SECONDS = 24 * 60 * 60

Users = Mapping[str, Sequence[User]]  # by operation


@contextmanager
def postgres_running() -> Iterator[EmbeddedPostgres]:
    """Run a PostgreSQL while the context lasts, and remove its data at the end."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            postgres.start()
            execute(postgres.url("postgres"), f"ALTER SYSTEM SET shared_buffers = '{SHARED_BUFFERS}'")
            postgres.close()  # The setting needs a restart.
            postgres.start()
            yield postgres
        finally:
            postgres.close()


def execute(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement outside a transaction and return its rows."""
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def create_database(postgres: EmbeddedPostgres, name: str) -> str:
    """Create a database with this service's tables and return its URL."""
    execute(postgres.url("postgres"), f"CREATE DATABASE {name}")
    database_url = urlsplit(postgres.url("postgres"))._replace(path=f"/{name}").geturl()
    run("flask", "db", "upgrade", database_url=database_url)
    return database_url


def fill(database_url: str, amounts: Iterable[tuple[str, int]], label: str) -> None:
    """Store sample tasks; ``amounts`` lists users and how many tasks to add for each."""
    amounts = list(amounts)
    total = sum(amount for _, amount in amounts)
    random = Random(total)  # noqa: S311 - the same tasks in each run
    app = create_app(Settings.read({"NEON_DB_URL": database_url, "BETTER_AUTH_SECRET": SECRET}))
    with app.app_context(), click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        for user_id, amount in amounts:
            for added in add_tasks(user_id, amount, random):
                bar.update(added)
        db.engine.dispose()
    execute(database_url, "VACUUM ANALYZE")  # PostgreSQL does this by itself, but later.


def create_tables(postgres: EmbeddedPostgres, users: int) -> str:
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
    execute(database_url, "VACUUM ANALYZE")
    execute(database_url, "CHECKPOINT")  # Otherwise one would run during a measurement.
    return database_url


def choose_users(database_url: str) -> Users:
    """Choose the users that send requests. The users who create tasks list none, so the lists keep their size."""
    rows = execute(database_url, "SELECT user_id, array_agg(id ORDER BY id) FROM todo.tasks GROUP BY 1 ORDER BY 1")
    half = min(ACTIVE_USERS, len(rows) // 2)
    chosen = Random(half).sample(rows, 2 * half)  # noqa: S311 - the same users in each run
    users = [User(make_token(user_id), task_ids) for user_id, task_ids in chosen]
    return {operation: users[half:] if operation == "create" else users[:half] for operation in OPERATIONS}


def make_token(user_id: str) -> str:
    """Return a token as Better Auth signs it with a shared secret."""
    now = int(time.time())
    return jwt.encode({"sub": user_id, "iat": now, "exp": now + TOKEN_SECONDS}, SECRET, algorithm="HS256")

"""Whose tasks the services have, the same in each, and who asks for them."""

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import click
import jwt
import psycopg2

from bench.clients import Person
from bench.databases import create_database, run_as_superuser, vacuum
from bench.processes import SECRET, run
from bench.services import KINDS, make_service_environment
from config import Settings
from embedded import EmbeddedPostgres
from todo import create_app
from todo.extensions import db
from todo.tasks.samples import add_tasks
from todo.tasks.table import TASKS

TASKS_EACH = 50
PEOPLE_ASKING = 200
TOKEN_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class People:
    """Who asks for each operation. Those who create are others than those who list: no list changes its size."""

    owners: list[Person]
    creators: list[Person]

    def of(self, operation: str) -> list[Person]:
        """Return who asks for this operation."""
        return self.creators if operation == "create" else self.owners


def make_databases(postgres: EmbeddedPostgres, users: int) -> dict[str, str]:
    """Make each service's database, with the same tasks; return their URLs."""
    urls = {name: create_database(postgres, name) for name in KINDS}
    for name, kind in KINDS.items():
        run(kind.make_table, make_service_environment(urls[name]))
    fill(urls["ours"], users)
    for name, kind in KINDS.items():
        if name != "ours":
            copy_tasks(urls["ours"], urls[name], kind.table)
        vacuum(urls[name], kind.table)
    run_as_superuser(postgres, "CHECKPOINT")  # Not while somebody is measured.
    return urls


def fill(database_url: str, users: int) -> None:
    """Store made-up tasks of that many users."""
    random = Random(users)  # noqa: S311 - the same tasks every time
    app = create_app(Settings.read({"NEON_DB_URL": database_url, "BETTER_AUTH_SECRET": SECRET}))
    with (
        app.app_context(),
        click.progressbar(range(users), label=f"{TASKS_EACH} tasks for each user", file=sys.stderr) as bar,
    ):
        for number in bar:
            for _ in add_tasks(f"user{number}", TASKS_EACH, random):
                pass
        db.engine.dispose()


def copy_tasks(source_url: str, target_url: str, table: str) -> None:
    """Copy all tasks, ids included, to another service's table."""
    columns = ", ".join(f"{field.column or name} AS {name}" for name, field in TASKS.fields.items())
    source, target = psycopg2.connect(source_url), psycopg2.connect(target_url)
    with tempfile.TemporaryFile() as file, source.cursor() as reader, target.cursor() as writer:
        reader.copy_expert(f"COPY (SELECT {columns} FROM todo.tasks ORDER BY id) TO STDOUT", file)
        file.seek(0)
        writer.copy_expert(f"COPY {table} ({', '.join(TASKS.fields)}) FROM STDIN", file)
        writer.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
    target.commit()
    source.close()
    target.close()


def choose_people(database_url: str, users: int) -> People:
    """Choose who asks, at random, and make their tokens."""
    connection = psycopg2.connect(database_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id, array_agg(id ORDER BY id) FROM todo.tasks GROUP BY user_id ORDER BY user_id")
        task_ids: Mapping[str, list[int]] = dict(cursor.fetchall())
    connection.close()
    each = min(PEOPLE_ASKING, users // 2)
    chosen = Random(users).sample(list(task_ids), 2 * each)  # noqa: S311 - the same people every time
    people = [Person(make_token(user_id), task_ids[user_id]) for user_id in chosen]
    return People(people[:each], people[each:])


def make_token(user_id: str) -> str:
    """Make a token as Better Auth signs them with a shared secret."""
    now = int(time.time())
    return jwt.encode({"sub": user_id, "iat": now, "exp": now + TOKEN_SECONDS}, SECRET, algorithm="HS256")

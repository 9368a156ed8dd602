"""CPU time of a PostgreSQL backend for each statement of this service, beside the bare statement of the floor.

Both run in this process, over one connection each and in turns, so other load on the machine hits both alike. The
service's own functions send its statements. Between rounds, the created rows are deleted and the tables vacuumed.
"""

import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
import psutil

from bench import floor
from bench.clients import NEW_TASK, PAGE_SIZE
from bench.data import connect_app, create_tables, restore_tables
from bench.postgres import execute, postgres_option, postgres_running, read_cpu_seconds
from bench.report import print_table
from todo.database.isolation import administration
from todo.tasks import queries
from todo.tasks.schemas import NewTaskSchema, TaskQuerySchema

USERS = 200
TABLES = ("todo.tasks", "tasks")

# Takes a user, the user's newest task, and new fields.
Send = Callable[[str, int, Mapping[str, Any]], object]


def list_statements() -> dict[str, tuple[Send, Send]]:
    """Return the statements in the order in which a round sends them: this service's, and the floor's."""
    new = NewTaskSchema().load(NEW_TASK)
    page = TaskQuerySchema().load({"limit": str(PAGE_SIZE)})
    change: tuple[Send, Send] = (queries.change_task, lambda *values: floor.change(values[0], values[1], {**values[2]}))
    create: Send = lambda user, *_: floor.create(user, NEW_TASK)  # noqa: E731
    recurring = NewTaskSchema().load(NEW_TASK | {"recurrence": {"rule": "FREQ=WEEKLY", "time_zone": "Europe/Berlin"}})
    done = {"completed": True}
    complete: tuple[Send, Send] = (
        lambda user, task, _: queries.change_task(user, task, done),
        lambda user, task, _: floor.change(user, task, done),
    )
    return {
        "create": (lambda user, *_: queries.create_task(user, new), create),
        "create with a key": (lambda user, *_: queries.create_task_once(user, new, str(uuid.uuid4())), create),
        f"list ({PAGE_SIZE})": (
            lambda user, *_: queries.find_tasks(user, page),
            lambda user, *_: floor.fetch(floor.LIST, (user, PAGE_SIZE)),
        ),
        "get": (
            lambda user, task, _: queries.get_task(user, task),
            lambda user, task, _: floor.fetch(floor.GET, (user, task)),
        ),
        "update": change,
        "unchanged update": change,
        "complete": complete,
        "create, recurring": (lambda user, *_: queries.create_task(user, recurring), create),
        "complete, recurring": complete,
        "delete": (
            lambda user, task, _: queries.delete_task(user, task),
            lambda user, task, _: floor.fetch(floor.DELETE, (user, task)),
        ),
    }


def measure_round(database_url: str, backends: Sequence[psutil.Process], number: int) -> dict[str, list[float]]:
    """Return the CPU time of both backends in microseconds, by statement. Each round starts with the other."""
    changes = {"title": f"Call the dentist, {number}"}  # The second update of a task finds its title unchanged.
    measured = {}
    for name, sends in list_statements().items():
        taken = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            newest = execute(database_url, f"SELECT user_id, max(id) FROM {TABLES[side]} GROUP BY 1")
            started = read_cpu_seconds(backends[side])
            for user, task in newest:
                sends[side](user, task, changes)
            taken[side] = (read_cpu_seconds(backends[side]) - started) / len(newest) * 1_000_000
        measured[name] = taken
    restore_tables(database_url)
    return measured


@click.command()
@postgres_option
@click.option("--rounds", default=12, show_default=True)
def main(programs: Path | None, rounds: int) -> None:
    """Measure the CPU time of one backend for each statement."""
    with postgres_running(programs, autovacuum="off") as postgres:
        database_url = os.environ["NEON_DB_URL"] = create_tables(postgres, USERS)
        with connect_app(database_url):
            with administration() as connection:
                pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            backends = [psutil.Process(pid), psutil.Process(floor.connect().info.backend_pid)]
            measure_round(database_url, backends, -1)  # Fills caches.
            with click.progressbar(range(rounds), label=f"{rounds} rounds", file=sys.stderr) as bar:
                results = [measure_round(database_url, backends, number) for number in bar]
            floor.connect().close()
        version = execute(database_url, "SHOW server_version")[0][0]
    rows = [("statement", "ours", "floor", "ours ÷ floor")]
    for name in results[0]:
        ours, its = zip(*(result[name] for result in results), strict=True)
        ratio = median(one / other for one, other in zip(ours, its, strict=True))
        rows.append((name, f"{min(ours):.0f}", f"{min(its):.0f}", f"{ratio:.2f}"))
    print_table(f"PostgreSQL {version}, µs of CPU of one backend: least of {rounds} rounds; median ratio", rows)


if __name__ == "__main__":
    main()

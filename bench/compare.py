"""CPU time of this checkout beside that of an earlier one: what a change costs a request and its database.

Both services run at the same time, on two databases of the same PostgreSQL, and get the same requests in turns. The
earlier checkout fills its database; the other database is a copy that this checkout upgrades. Between rounds, deleted
tasks are stored again, created ones are deleted, and the tables vacuumed. Compare a checkout with itself to see how
much other load on the machine changes the ratios.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import click

from bench.clients import STATUSES
from bench.data import TASKS_PER_USER, choose_users, create_database, fill_trash, restore_tables
from bench.postgres import Postgres, execute, postgres_option, postgres_running
from bench.report import BEFORE, Setting, describe_machine, list_cpu_times, list_spreads, print_table
from bench.services import ROOT, run, serving
from bench.serving import measure_phase

USERS = 1000
# Runs in the earlier checkout, whose statements fit its tables.
FILL = f"""
import os
from bench.data import fill
fill(os.environ["NEON_DB_URL"], [(f"user{{n}}", {TASKS_PER_USER}) for n in range({USERS})], "Tasks of {USERS:,} users")
"""
COLUMNS = """
    SELECT string_agg(column_name, ', ') FROM information_schema.columns
    WHERE table_schema = 'todo' AND table_name = 'tasks' AND is_generated = 'NEVER'
"""


@click.command()
@click.argument("before", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.option("--rounds", type=click.IntRange(2), default=8, show_default=True)
@click.option("--seconds", default=1.0, show_default=True, help="How long each operation is measured in a round.")
@postgres_option
def main(before: Path, rounds: int, seconds: float, programs: Path | None) -> None:
    """Measure this checkout beside the one in the folder BEFORE, which uses the same virtual environment."""
    setting = Setting("one worker", workers=1, delay_ms=0, rounds=rounds, seconds=seconds)
    roots = {"ours": ROOT, "before": before}
    with postgres_running(programs, autovacuum="off") as postgres, ExitStack() as stack:
        database_urls = create_databases(postgres, before)
        services = {
            name: stack.enter_context(serving("ours", postgres, database_urls[name], setting.workers, root))
            for name, root in roots.items()
        }
        users = choose_users(database_urls["ours"])
        phase = measure_phase(setting, services, users, lambda: list(map(restore, database_urls.values())), STATUSES)
        version = execute(postgres.url, "SHOW server_version")[0][0]
    print_table(describe_machine(version), list_cpu_times(phase, BEFORE))
    print_table("The spread", list_spreads(phase, "before"))


def create_databases(postgres: Postgres, before: Path) -> Mapping[str, str]:
    """Create a database with the same tasks for each checkout, and return their URLs."""
    earlier = create_database(postgres, "before", before)
    run("python", "-c", FILL, database_url=earlier, root=before)
    database_urls = {"ours": create_database(postgres, "ours", template="before"), "before": earlier}
    for database_url in database_urls.values():
        save(database_url)
        fill_trash(database_url)
    execute(earlier, "CHECKPOINT")  # Otherwise one would run during a measurement.
    return database_urls


def save(database_url: str) -> None:
    """Keep a copy of the tasks, because not every release keeps those that are deleted."""
    execute(database_url, "CREATE TABLE saved AS TABLE todo.tasks")


def restore(database_url: str) -> None:
    """Restore the tables after a round, deleted tasks included."""
    [(columns,)] = execute(database_url, COLUMNS)
    execute(
        database_url,
        f"""
        INSERT INTO todo.tasks ({columns}) OVERRIDING SYSTEM VALUE
        SELECT {columns} FROM saved
        WHERE NOT EXISTS (SELECT FROM todo.tasks WHERE tasks.user_id = saved.user_id AND tasks.id = saved.id)
        """,
    )
    restore_tables(database_url)


if __name__ == "__main__":
    main()

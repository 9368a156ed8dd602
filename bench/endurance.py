"""Whether a worker's memory stays flat: its unshared memory during a million requests of all operations."""

import sys

import click

from bench.clients import OPERATIONS, Load
from bench.data import choose_users, create_tables
from bench.postgres import postgres_running
from bench.report import Goal, conclude
from bench.services import serving

USERS, QUICK_USERS = 2000, 100
REQUESTS, QUICK_REQUESTS = 1_000_000, 4_000
PARTS = 20
# From the end of the first part, which fills caches and pools.
GROWTH_ALLOWED = 1.1


@click.command()
@click.option("--quick", is_flag=True, help="A few thousand requests, to check that it works.")
def main(quick: bool) -> None:
    """Measure a worker's memory during a million requests."""
    requests = QUICK_REQUESTS if quick else REQUESTS
    with postgres_running() as postgres:
        database_url = create_tables(postgres, QUICK_USERS if quick else USERS)
        users = choose_users(database_url)
        memory = []
        with (
            serving("ours", postgres, database_url, workers=1) as service,
            click.progressbar(range(PARTS), label=f"{requests:,} requests", file=sys.stderr) as bar,
        ):
            for part in bar:
                for operation in OPERATIONS:
                    each = requests // PARTS // len(OPERATIONS)
                    service.measure(Load(operation, users[operation], seed=part, requests=each))
                memory.append(service.measure_memory()["uss"])
    for part, mebibytes in enumerate(memory, 1):
        print(f"{requests * part // PARTS:9,} requests: {mebibytes:6.1f} MiB")
    conclude(
        [Goal("growth of memory, as a factor", memory[-1] / memory[0], aim=GROWTH_ALLOWED, limit=GROWTH_ALLOWED)], quick
    )


if __name__ == "__main__":
    main()

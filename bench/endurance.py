"""Whether a worker's memory stays flat: a million requests of every kind, and what the worker has after each part."""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import click

from bench.clients import OPERATIONS, Load
from bench.databases import postgres_running
from bench.people import choose_people, make_databases
from bench.services import serving

USERS, QUICK_USERS = 2000, 100
REQUESTS, QUICK_REQUESTS = 1_000_000, 4_000
PARTS = 20
# Of the first part's, in which caches and pools are filled.
GROWTH_ALLOWED = 1.1


@click.command()
@click.option("--quick", is_flag=True, help="A few thousand requests: to see that it works.")
def main(quick: bool) -> None:
    """Measure a worker's memory under a million requests."""
    users, requests = (QUICK_USERS, QUICK_REQUESTS) if quick else (USERS, REQUESTS)
    with postgres_running() as postgres, ProcessPoolExecutor(1, get_context("spawn")) as executor:
        url = make_databases(postgres, users)["ours"]
        people = choose_people(url, users)
        with serving({"ours": url}, workers=1) as services, click.progressbar(range(PARTS), file=sys.stderr) as bar:
            service = services["ours"]
            memory = []
            for part in bar:
                for operation in OPERATIONS:
                    each = requests // PARTS // len(OPERATIONS)
                    service.measure(Load(operation, people.of(operation), seed=part, requests=each), executor)
                memory.append(service.measure_memory().uss)
    growth = show(memory, requests)
    if growth > GROWTH_ALLOWED and not quick:
        sys.exit(1)


def show(memory: Sequence[float], requests: int) -> float:
    """Print what the worker had after each part, in MiB; return how it grew since the first."""
    for part, mebibytes in enumerate(memory, 1):
        print(f"{requests * part // len(memory):9,} requests: {mebibytes:6.1f} MiB")
    growth = memory[-1] / memory[0]
    print(f"{'met' if growth <= GROWTH_ALLOWED else 'MISSED'}: grows by {growth:.3f}, at most {GROWTH_ALLOWED}")
    return growth


if __name__ == "__main__":
    main()

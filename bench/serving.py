"""CPU time, latency, throughput, round trips and memory of this service, beside a peer and a floor.

The three services have the same tasks in the same PostgreSQL. They run at the same time and get the same requests in
turns, so other load on the machine hits all alike. CPU time per request is the figure that noise affects least.

The CPU time of the database is that of all PostgreSQL's processes. They work for one service at a time: autovacuum and
checkpoints are off. Between rounds, created tasks are deleted and the tables vacuumed.
Exits with 1 if a goal is missed.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from bench.chart import draw_chart
from bench.clients import OPERATIONS, PAGE_SIZE, Load, WrongResponse, send_load
from bench.data import Users, choose_users, create_tables, restore_tables
from bench.postgres import Postgres, execute, postgres_option, postgres_running
from bench.relay import Relay, relaying
from bench.report import Phase, Round, Setting, print_results
from bench.services import COMMANDS, Service, serving

FAR_MS = 5
NEAR = Setting("one worker", workers=1, delay_ms=0, rounds=8, seconds=1)
FAR = Setting(f"database {FAR_MS} ms each way", workers=1, delay_ms=FAR_MS, rounds=4, seconds=0.7)
SETTINGS = [NEAR, Setting("two workers", workers=2, delay_ms=0, rounds=4, seconds=0.5), FAR]
QUICK_SETTINGS = [replace(NEAR, rounds=3, seconds=0.5), replace(FAR, rounds=1, seconds=0.3)]
USERS = 2000
WARM_UP_REQUESTS = 160
WARM_UP_USERS = 20  # They delete other tasks than the measured users.
COUNTED_REQUESTS = 20
# These fields must be equal in all services. The format of date-times may differ.
COMPARED = ("id", "uid", "user_id", "title", "description", "completed", "priority", "tags")

Services = Mapping[str, Service]


@click.command()
@click.option("--quick", is_flag=True, help="Few and short rounds, to compare two versions: a minute and a half.")
@click.option("--chart", type=click.Path(path_type=Path), help="Draw the CPU time per request into this SVG file.")
@postgres_option
def main(quick: bool, chart: Path | None, programs: Path | None) -> None:
    """Measure this service beside two others."""
    phases: list[Phase] = []
    with postgres_running(programs, autovacuum="off") as postgres:
        database_url = create_tables(postgres, USERS)
        users = choose_users(database_url)
        for setting in QUICK_SETTINGS if quick else SETTINGS:
            with serving_all(setting, postgres, database_url) as (services, relay):
                if not phases:
                    check_responses(services, users)
                phases.append(measure_phase(setting, services, users, partial(restore_tables, database_url)))
                if relay:
                    round_trips = count_round_trips(services, users, relay)
        version = execute(database_url, "SHOW server_version")[0][0]
    if chart:
        chart.write_text(draw_chart(phases[0]))
    print_results(version, phases, round_trips, quick)


@contextmanager
def serving_all(setting: Setting, postgres: Postgres, database_url: str) -> Iterator[tuple[Services, Relay | None]]:
    """Serve all three while the context lasts; through a relay if the setting has a delay."""
    with ExitStack() as stack:
        relay = None
        if setting.delay_ms:
            relay = stack.enter_context(relaying(postgres.port, setting.delay_ms / 1000))
            database_url = relay.redirect(database_url)
        contexts = {name: serving(name, postgres, database_url, setting.workers) for name in COMMANDS}
        yield {name: stack.enter_context(context) for name, context in contexts.items()}, relay


def check_responses(services: Services, users: Users) -> None:
    """Check that all services return the same tasks, this one with their tags as well. Raises WrongResponse."""
    for operation in OPERATIONS:
        load = Load(operation, users[operation], seed=0, connections=1, requests=1)
        pages = {name: fetch_tasks(service, load) for name, service in services.items()}
        ours = pages["ours"]
        if len(ours) != (PAGE_SIZE if operation == "list" else 1):
            raise WrongResponse(f"{operation}: {len(ours)} tasks")
        for name, tasks in pages.items():
            if [task.keys() | {"etag"} for task in tasks] != [task.keys() for task in ours]:
                raise WrongResponse(f"{operation}: {name} returns other fields: {tasks[:1]}")
            compared = COMPARED[3:] if operation == "create" else COMPARED
            if any(task[field] != own[field] for task, own in zip(tasks, ours, strict=True) for field in compared):
                raise WrongResponse(f"{operation}: {name} returns other tasks: {tasks[:1]}")


def fetch_tasks(service: Service, load: Load) -> list[dict[str, Any]]:
    """Send one request and return the tasks in the response."""
    body = json.loads(send_load(service.port, load).last_body)
    return body if isinstance(body, list) else [body]


def measure_phase(
    setting: Setting,
    services: Services,
    users: Users,
    restore: Callable[[], object],
    operations: Iterable[str] = OPERATIONS,
) -> Phase:
    """Measure all services in a setting. ``restore`` restores the tables before each round."""
    rounds = []
    with click.progressbar(range(setting.rounds), label=f"{setting.name:24}", file=sys.stderr) as bar:
        for number in bar:
            restore()
            rounds.append(measure_round(setting, services, users, number, operations))
    memory = {name: service.measure_memory() for name, service in services.items()}
    return Phase(setting, rounds, memory)


def measure_round(setting: Setting, services: Services, users: Users, number: int, operations: Iterable[str]) -> Round:
    """Measure each operation on all services in turns. Each round starts with another service.

    Other requests come first: they fill pools and caches, and PostgreSQL plans again after each VACUUM.
    """
    names = list(services)
    first = number % len(names)
    order = names[first:] + names[:first]
    measured = {}
    for place, operation in enumerate(operations, 1):
        warm_up, senders = users[operation][:WARM_UP_USERS], users[operation][WARM_UP_USERS:]
        load = Load(operation, senders, seed=10 * number + place, seconds=setting.seconds)
        for name in order:
            services[name].measure(replace(load, users=warm_up, requests=WARM_UP_REQUESTS))
        measured[operation] = {name: services[name].measure(load) for name in order}
    return measured


def count_round_trips(services: Services, users: Users, relay: Relay) -> dict[str, dict[str, float]]:
    """Return the average round trips to the database per request, by operation and service."""

    def count(service: Service, operation: str) -> float:
        before: int = relay.counter.value
        service.measure(Load(operation, users[operation], seed=1, connections=1, requests=COUNTED_REQUESTS))
        return float(relay.counter.value - before) / COUNTED_REQUESTS

    return {
        operation: {name: count(service, operation) for name, service in services.items()} for operation in OPERATIONS
    }


if __name__ == "__main__":
    main()

"""How this service serves, beside one written as FastAPI's documentation teaches, and beside the least that could.

The three have the same tasks on the same PostgreSQL, run side by side, and are asked for the same things in turns, so
that what else the machine does falls on all alike; the figure that survives a noisy machine best is what their
processes compute per request. Prints tables, and whether the goals are met; exits with 1 if the least is not.
"""

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

import click
import psycopg2

from bench.chart import draw_chart
from bench.databases import postgres_running
from bench.people import choose_people, make_databases
from bench.relay import Relay, relaying
from bench.report import (
    Phase,
    Setting,
    describe_machine,
    format_goals,
    format_machine,
    format_memory,
    format_phase,
    list_goals,
    write_json,
)
from bench.rounds import check_answers, count_round_trips, measure_phase
from bench.services import Service, serving

FAR_MS = 5
FAR = f"database {FAR_MS} ms away each way"
SETTINGS = [
    Setting("one worker, 8 connections", workers=1, delay_ms=0, rounds=21, seconds=0.5),
    Setting("two workers, 8 connections", workers=2, delay_ms=0, rounds=6, seconds=0.5),
    Setting(FAR, workers=1, delay_ms=FAR_MS, rounds=6, seconds=0.7),
]
QUICK_SETTINGS = [
    Setting("one worker, 8 connections", workers=1, delay_ms=0, rounds=1, seconds=0.3),
    Setting(FAR, workers=1, delay_ms=FAR_MS, rounds=1, seconds=0.3),
]
USERS, QUICK_USERS = 2000, 100


@contextmanager
def serving_in(
    setting: Setting, urls: Mapping[str, str], postgres_socket: Path
) -> Iterator[tuple[dict[str, Service], Relay | None]]:
    """Serve all three in that setting until it is left."""
    if not setting.delay_ms:
        with serving(urls, setting.workers) as services:
            yield services, None
        return
    with relaying(postgres_socket, setting.delay_ms / 1000) as relay:
        far = {name: move(url, relay.port) for name, url in urls.items()}
        with serving(far, setting.workers) as services:
            yield services, relay


def move(database_url: str, port: int) -> str:
    """Return the URL of the same database on another port of this machine."""
    parts = urlsplit(database_url)
    netloc = f"{parts.netloc}127.0.0.1:{port}"  # Without a host so far: the socket's folder is in the query.
    return parts._replace(netloc=netloc, query="sslmode=disable&gssencmode=disable").geturl()


@click.command()
@click.option("--quick", is_flag=True, help="Little data, one round: to see that it works, in under a minute.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write every round's numbers there.")
@click.option(
    "--chart", "chart_path", type=click.Path(path_type=Path), help="Draw an SVG of the CPU per request there."
)
def main(quick: bool, json_path: Path | None, chart_path: Path | None) -> None:
    """Measure how this service serves, beside two others."""
    settings = QUICK_SETTINGS if quick else SETTINGS
    users = QUICK_USERS if quick else USERS
    phases: list[Phase] = []
    with (
        postgres_running() as postgres,
        ProcessPoolExecutor(1, get_context("spawn")) as executor,
    ):
        urls = make_databases(postgres, users)
        people = choose_people(urls["ours"], users)
        postgres_socket = Path(postgres.home.read_socket_directory()) / ".s.PGSQL.5432"
        for setting in settings:
            with serving_in(setting, urls, postgres_socket) as (services, relay):
                if not phases:
                    check_answers(services, people)
                phases.append(measure_phase(setting, services, people, executor))
                if relay:
                    round_trips = count_round_trips(services, people, executor, relay)
        machine = describe_machine(read_version(urls["ours"]))
    goals = list(list_goals(phases[0], phases[-1], round_trips))
    print("\n".join(format_machine(machine)))
    for phase in phases:
        print("\n".join(format_phase(phase, round_trips)))
    print("\n".join([*format_memory(phases), *format_goals(goals)]))
    if json_path:
        write_json(json_path, machine, phases, round_trips, goals)
    if chart_path:
        chart_path.write_text(draw_chart(phases[0]))
    # A short run says nothing about times.
    if any(goal.verdict == "MISSED" and (goal.exactly or not quick) for goal in goals):
        sys.exit(1)


def read_version(database_url: str) -> str:
    """Return the server's version."""
    connection = psycopg2.connect(database_url)
    number = connection.server_version
    connection.close()
    return f"{number // 10000}.{number % 10000}"


if __name__ == "__main__":
    main()

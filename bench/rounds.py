"""The walk through a measurement: what all answer is compared, then all are asked in turns, round after round."""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import click

from bench.clients import LISTED, OPERATIONS, Load, WrongAnswer, ask_once
from bench.people import People
from bench.relay import Relay
from bench.report import Phase, Round, Setting
from bench.services import Sample, Service
from todo.tasks.table import TASKS

WARM_UP_REQUESTS = 400
COUNTED_REQUESTS = 20
# What all must answer alike; how a time is written is left to each.
SAME = ("id", "user_id", "title", "description", "completed", "priority", "tags")


def check_answers(services: Mapping[str, Service], people: People) -> None:
    """See to it that all three answer the same; raises WrongAnswer."""
    for operation in OPERATIONS:
        answers = {
            name: ask_once(service.port, Load(operation, people.of(operation), seed=0))
            for name, service in services.items()
        }
        tasks = {name: answer if operation == "list" else [answer] for name, answer in answers.items()}
        for name, listed in tasks.items():
            if any(task.keys() != TASKS.fields.keys() for task in listed) or len(listed) != len(tasks["ours"]):
                raise WrongAnswer(f"{name} answers other members of a task to {operation}: {listed[:1]}")
            if operation != "create" and pick(listed) != pick(tasks["ours"]):
                raise WrongAnswer(f"{name} answers other tasks to {operation}: {listed[:1]}")
    if len(ask_once(services["ours"].port, Load("list", people.owners, seed=0))) != LISTED:
        raise WrongAnswer("the lists are not full")


def pick(tasks: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Return what must be alike."""
    return [[task[name] for name in SAME] for task in tasks]


def warm_up(services: Mapping[str, Service], people: People, executor: Executor) -> None:
    """Let every pool be filled, and everything be compiled that is compiled once."""
    for operation in OPERATIONS:
        for service in services.values():
            service.measure(Load(operation, people.of(operation), seed=0, requests=WARM_UP_REQUESTS), executor)


def measure_round(
    services: Mapping[str, Service], people: People, number: int, seconds: float, executor: Executor
) -> Round:
    """Ask all three for each operation in turns; who is first, rotates."""
    names = list(services)
    order = names[number % 3 :] + names[: number % 3]
    measured: dict[str, dict[str, Sample]] = {}
    for place, operation in enumerate(OPERATIONS):
        load = Load(operation, people.of(operation), seed=10 * number + place + 1, seconds=seconds)
        samples = {name: services[name].measure(load, executor) for name in order}
        measured[operation] = {name: samples[name] for name in names}
    return measured


def measure_phase(setting: Setting, services: Mapping[str, Service], people: People, executor: Executor) -> Phase:
    """Measure all three in a setting that they are served in."""
    warm_up(services, people, executor)
    with click.progressbar(range(setting.rounds), label=f"{setting.name:36}", file=sys.stderr) as bar:
        rounds = [measure_round(services, people, number, setting.seconds, executor) for number in bar]
    return Phase(setting, rounds, {name: service.measure_memory() for name, service in services.items()})


def count_round_trips(
    services: Mapping[str, Service], people: People, executor: Executor, relay: Relay
) -> dict[str, dict[str, float]]:
    """Count them on the wire, by operation and service, with one request at a time."""
    return {
        operation: {
            name: service.count_round_trips(
                Load(operation, people.of(operation), seed=1, connections=1, requests=COUNTED_REQUESTS),
                executor,
                relay,
            )
            for name, service in services.items()
        }
        for operation in OPERATIONS
    }

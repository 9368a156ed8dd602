"""What the measurements say: a table, the goals and whether they are met, and the raw numbers."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from bench.clients import OPERATIONS
from bench.services import Memory, Sample

PACKAGES = (
    "flask", "werkzeug", "sqlalchemy", "psycopg2-binary", "pyjwt", "orjson", "gunicorn",
    "fastapi", "starlette", "pydantic", "sqlmodel", "uvicorn", "uvloop", "httptools",
)  # fmt: skip

# By operation, then by service.
Round = Mapping[str, Mapping[str, Sample]]


@dataclass(frozen=True)
class Setting:
    """What is the same for the three services while they are measured."""

    name: str
    workers: int
    delay_ms: float
    rounds: int
    seconds: float


@dataclass(frozen=True)
class Phase:
    """What was measured in one setting."""

    setting: Setting
    rounds: Sequence[Round]
    memory: Mapping[str, Memory]

    def find_median(self, operation: str, service: str, read: Callable[[Sample], float]) -> float:
        """Return the median over the rounds."""
        return median(read(each[operation][service]) for each in self.rounds)

    def find_ratio(self, operation: str, other: str, read: Callable[[Sample], float]) -> float:
        """Return how much of the other's ours is: the median of the rounds' ratios, as a round falls on both alike."""
        return median(read(each[operation]["ours"]) / read(each[operation][other]) for each in self.rounds)


@dataclass(frozen=True)
class Goal:
    """A figure, what it is to be at most, and what it must be at most; or must be exactly."""

    name: str
    value: float
    aim: float
    least: float
    exactly: bool = False

    @property
    def verdict(self) -> str:
        """Say whether it is met."""
        if self.exactly:
            return "met" if self.value == self.aim else "MISSED"
        return "met" if self.value <= self.aim else "least met" if self.value <= self.least else "MISSED"


def read_cpu(sample: Sample) -> float:
    """Return the figure that survives a noisy machine best."""
    return sample.cpu_us


def read_p50(sample: Sample) -> float:
    """Return the figure that a distant database shows in."""
    return sample.p50_ms


def list_goals(near: Phase, far: Phase, round_trips: Mapping[str, Mapping[str, float]]) -> Iterator[Goal]:
    """Yield the goals, with what was measured."""
    for operation in OPERATIONS:
        trips = round_trips[operation]["ours"]
        yield Goal(f"round trips of ours, {operation}", trips, aim=1, least=1, exactly=True)
    for operation, aim, least in (
        ("list", 0.33, 0.40),
        ("get", 0.50, 0.60),
        ("create", 0.50, 0.50),
        ("update", 0.50, 0.50),
    ):
        yield Goal(f"CPU, ours to peer, {operation}", near.find_ratio(operation, "peer", read_cpu), aim, least)
    means = [
        geometric_mean(each[operation]["ours"].cpu_us / each[operation]["floor"].cpu_us for operation in OPERATIONS)
        for each in near.rounds
    ]
    yield Goal("CPU, ours to floor, geometric mean of the four", median(means), 2.0, 2.5)
    for operation, aim in (("list", 0.55), ("get", 0.55), ("create", 0.25), ("update", 0.25)):
        ratio = far.find_ratio(operation, "peer", read_p50)
        yield Goal(f"p50 {far.setting.name}, ours to peer, {operation}", ratio, aim, aim)


def format_phase(phase: Phase, round_trips: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the lines of a setting's table."""
    setting = phase.setting
    yield f"{setting.name}; medians of rounds of {setting.seconds:g} s: {len(phase.rounds)}"
    yield ""
    yield "| operation | service | requests/s |  p50, ms |  p99, ms | CPU, µs/request | ours to it | round trips |"
    yield "|-----------|---------|-----------:|---------:|---------:|----------------:|-----------:|------------:|"
    for operation in OPERATIONS:
        for service in phase.rounds[0][operation]:
            values = [
                phase.find_median(operation, service, attrgetter(name))
                for name in ("per_second", "p50_ms", "p99_ms", "cpu_us")
            ]
            ratio = phase.find_ratio(operation, service, read_cpu)
            yield (
                f"| {operation:9} | {service:7} | {values[0]:10.0f} | {values[1]:8.2f} | {values[2]:8.2f}"
                f" | {values[3]:15.0f} | {ratio:10.2f} | {round_trips[operation][service]:11g} |"
            )
    yield ""


def format_memory(phases: Sequence[Phase]) -> Iterator[str]:
    """Yield the lines of the table of memory."""
    yield "Memory of a worker after that, MiB"
    yield ""
    yield "| workers | service |    RSS |    USS |    PSS |"
    yield "|--------:|---------|-------:|-------:|-------:|"
    for phase in phases:
        if not phase.setting.delay_ms:
            for service, memory in phase.memory.items():
                sizes = " | ".join(f"{size:6.1f}" for size in memory)
                yield f"| {phase.setting.workers:7} | {service:7} | {sizes} |"
    yield ""


def format_goals(goals: Sequence[Goal]) -> Iterator[str]:
    """Yield the goals, a line each."""
    width = max(len(goal.name) for goal in goals)
    for goal in goals:
        bound = f"exactly {goal.aim:g}" if goal.exactly else f"aim {goal.aim:.2f}, least {goal.least:.2f}"
        yield f"{goal.verdict + ':':10} {goal.name:{width}} {goal.value:5.2f} ({bound})"


def describe_machine(postgres_version: str) -> dict[str, Any]:
    """Return what the numbers depend on besides the code."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": find_processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgresql": postgres_version,
        "packages": {name: version(name) for name in PACKAGES},
    }


def format_machine(machine: Mapping[str, Any]) -> Iterator[str]:
    """Yield what it was measured on."""
    yield (
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, Python {machine['python']},"
        f" PostgreSQL {machine['postgresql']}"
    )
    yield ""


def find_processor() -> str:
    """Return the processor's name, as far as the system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def write_json(
    path: Path,
    machine: Mapping[str, Any],
    phases: Sequence[Phase],
    round_trips: Mapping[str, Mapping[str, float]],
    goals: Sequence[Goal],
) -> None:
    """Write every round's numbers."""
    document = {
        "machine": machine,
        "phases": [
            {
                **vars(phase.setting),
                "measured": [
                    {
                        operation: {service: sample._asdict() for service, sample in samples.items()}
                        for operation, samples in each.items()
                    }
                    for each in phase.rounds
                ],
                "memory_mib": {service: memory._asdict() for service, memory in phase.memory.items()},
            }
            for phase in phases
        ],
        "round_trips": round_trips,
        "goals": [{**vars(goal), "verdict": goal.verdict} for goal in goals],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")

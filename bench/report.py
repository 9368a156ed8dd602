"""The results of the benchmark as text: tables, and goals with their verdicts."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import geometric_mean, median

from bench.clients import OPERATIONS
from bench.services import Memory, Sample

# By operation, then by service.
Round = Mapping[str, Mapping[str, Sample]]
RoundTrips = Mapping[str, Mapping[str, float]]

# Of the peer's CPU time per request: the aim, and the least that must hold.
CPU_GOALS = {"list": (0.33, 0.40), "get": (0.50, 0.60), "create": (0.50, 0.50), "update": (0.50, 0.50)}
FLOOR_GOAL = (2.0, 2.5)
# Of the peer's p50 with a distant database.
DISTANCE_GOALS = {"list": 0.55, "get": 0.55, "create": 0.25, "update": 0.25}


@dataclass(frozen=True)
class Setting:
    """The conditions of a measurement: the same for all services."""

    name: str
    workers: int
    delay_ms: float
    rounds: int
    seconds: float


@dataclass(frozen=True)
class Phase:
    """The results in one setting. ``memory`` is by service."""

    setting: Setting
    rounds: Sequence[Round]
    memory: Mapping[str, Memory]

    def find_median(self, operation: str, service: str, figure: str) -> float:
        """Return the median of a figure of Sample over the rounds."""
        return median(float(getattr(each[operation][service], figure)) for each in self.rounds)

    def find_ratio(self, operation: str, other: str, figure: str) -> float:
        """Return ours ÷ other: the median of each round's ratio, since other load on the machine hits both alike."""
        pairs = [(each[operation]["ours"], each[operation][other]) for each in self.rounds]
        return median(float(getattr(ours, figure) / getattr(its, figure)) for ours, its in pairs)


@dataclass(frozen=True)
class Goal:
    """A figure with an upper bound to aim for and one that must hold, or with an exact value."""

    name: str
    value: float
    aim: float
    least: float
    exactly: bool = False

    @property
    def verdict(self) -> str:
        """Return whether the goal is met."""
        if self.exactly:
            return "met" if self.value == self.aim else "MISSED"
        return "met" if self.value <= self.aim else "least met" if self.value <= self.least else "MISSED"


def list_goals(near: Phase, far: Phase, round_trips: RoundTrips) -> Iterator[Goal]:
    """Yield the goals with the measured figures."""
    for operation in OPERATIONS:
        yield Goal(f"round trips, ours, {operation}", round_trips[operation]["ours"], aim=1, least=1, exactly=True)
    for operation, (aim, least) in CPU_GOALS.items():
        yield Goal(f"CPU, ours ÷ peer, {operation}", near.find_ratio(operation, "peer", "cpu_us"), aim, least)
    means = [
        geometric_mean(each[operation]["ours"].cpu_us / each[operation]["floor"].cpu_us for operation in OPERATIONS)
        for each in near.rounds
    ]
    yield Goal("CPU, ours ÷ floor, geometric mean of all four", median(means), *FLOOR_GOAL)
    for operation, aim in DISTANCE_GOALS.items():
        ratio = far.find_ratio(operation, "peer", "p50_ms")
        yield Goal(f"p50, {far.setting.name}, ours ÷ peer, {operation}", ratio, aim, aim)


def format_machine(postgres_version: str) -> str:
    """Return what the figures depend on besides the code."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {names[0] if names else platform.processor()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, PostgreSQL {postgres_version}\n"
    )


def format_phase(phase: Phase, round_trips: RoundTrips) -> Iterator[str]:
    """Yield the lines of a table of all operations and services."""
    yield f"{phase.setting.name}; median of {len(phase.rounds)} × {phase.setting.seconds:g} s\n"
    yield "| operation | service | requests/s |  p50, ms |  p99, ms | CPU, µs/request | ours ÷ it | round trips |"
    yield "|-----------|---------|-----------:|---------:|---------:|----------------:|----------:|------------:|"
    for operation, services in phase.rounds[0].items():
        for service in services:
            per_second, p50, p99, cpu = (
                phase.find_median(operation, service, figure) for figure in ("per_second", "p50_ms", "p99_ms", "cpu_us")
            )
            yield (
                f"| {operation:9} | {service:7} | {per_second:10.0f} | {p50:8.2f} | {p99:8.2f} | {cpu:15.0f}"
                f" | {phase.find_ratio(operation, service, 'cpu_us'):9.2f} | {round_trips[operation][service]:11g} |"
            )
    yield ""


def format_memory(phases: Sequence[Phase]) -> Iterator[str]:
    """Yield the lines of the memory table."""
    yield "Memory of one worker after the measurement, MiB\n"
    yield "| workers | service |    RSS |    USS |    PSS |"
    yield "|--------:|---------|-------:|-------:|-------:|"
    for phase in phases:
        for service, memory in phase.memory.items():
            yield f"| {phase.setting.workers:7} | {service:7} | " + " | ".join(f"{size:6.1f}" for size in memory) + " |"
    yield ""


def conclude(goals: Sequence[Goal], quick: bool) -> None:
    """Print the goals. Exit with 1 if one is missed; a quick run is too short to judge any but the exact ones."""
    width = max(len(goal.name) for goal in goals)
    for goal in goals:
        bound = f"aim {goal.aim:.2f}, least {goal.least:.2f}" if goal.aim != goal.least else f"at most {goal.aim:.2f}"
        bound = f"exactly {goal.aim:g}" if goal.exactly else bound
        print(f"{goal.verdict + ':':10} {goal.name:{width}} {goal.value:6.2f} ({bound})")
    if any(goal.verdict == "MISSED" and (goal.exactly or not quick) for goal in goals):
        sys.exit(1)

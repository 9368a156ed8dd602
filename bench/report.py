"""The results of the benchmark as text: tables, and goals with their verdicts."""

import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import geometric_mean, median

from bench.clients import OPERATIONS
from bench.services import Sample

# By operation, then by service.
Round = Mapping[str, Mapping[str, Sample]]
RoundTrips = Mapping[str, Mapping[str, float]]

# How a table shows the fields of Sample, in their order.
COLUMNS = {"requests/s": ".0f", "p50, ms": ".2f", "p99, ms": ".2f", "CPU, µs/request": ".0f"}
# As a share of the peer's CPU time per request: the aim and the limit. A result above the limit is a failure.
CPU_GOALS = {"list": (0.33, 0.40), "get": (0.50, 0.60), "create": (0.50, 0.50), "update": (0.50, 0.50)}
FLOOR_GOAL = (2.0, 2.5)
# The limit as a share of the peer's p50, with a distant database.
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
    memory: Mapping[str, Mapping[str, float]]

    def find_median(self, operation: str, service: str, figure: str) -> float:
        """Return the median of a figure of Sample over the rounds."""
        return median(float(getattr(each[operation][service], figure)) for each in self.rounds)

    def find_ratio(self, operation: str, other: str, figure: str) -> float:
        """Return ours ÷ other: the median of each round's ratio, since other load on the machine hits both alike."""
        pairs = [(each[operation]["ours"], each[operation][other]) for each in self.rounds]
        return median(float(getattr(ours, figure) / getattr(its, figure)) for ours, its in pairs)


@dataclass(frozen=True)
class Goal:
    """A figure with an upper bound to aim for and an upper limit, or with an exact value."""

    name: str
    value: float
    aim: float
    limit: float
    exactly: bool = False

    @property
    def verdict(self) -> str:
        """Return whether the goal is met."""
        if self.exactly:
            return "met" if self.value == self.aim else "MISSED"
        return "met" if self.value <= self.aim else "within limit" if self.value <= self.limit else "MISSED"


def list_goals(near: Phase, far: Phase, round_trips: RoundTrips) -> Iterator[Goal]:
    """Yield the goals with the measured figures."""
    for operation in OPERATIONS:
        yield Goal(f"round trips, ours, {operation}", round_trips[operation]["ours"], aim=1, limit=1, exactly=True)
    for operation, (aim, limit) in CPU_GOALS.items():
        yield Goal(f"CPU, ours ÷ peer, {operation}", near.find_ratio(operation, "peer", "cpu_us"), aim, limit)
    means = [
        geometric_mean(each[operation]["ours"].cpu_us / each[operation]["floor"].cpu_us for operation in OPERATIONS)
        for each in near.rounds
    ]
    yield Goal("CPU, ours ÷ floor, geometric mean of all four", median(means), *FLOOR_GOAL)
    for operation, aim in DISTANCE_GOALS.items():
        ratio = far.find_ratio(operation, "peer", "p50_ms")
        yield Goal(f"p50, {far.setting.name}, ours ÷ peer, {operation}", ratio, aim, aim)


def describe_machine(postgres_version: str) -> str:
    """Return what the figures depend on besides the code."""
    path = Path("/proc/cpuinfo")
    processors = re.findall("^model name.*: (.*)", path.read_text() if path.exists() else "", re.MULTILINE)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {(*processors, platform.processor())[0]},"
        f" Python {platform.python_version()}, PostgreSQL {postgres_version}"
    )


def list_figures(phase: Phase, round_trips: RoundTrips) -> Iterator[Sequence[str]]:
    """Yield the header and the rows of a table of all operations and services."""
    yield "operation, service", *COLUMNS, "ours ÷ it", "round trips"
    for operation, service in product(OPERATIONS, phase.memory):
        medians = [phase.find_median(operation, service, figure) for figure in Sample._fields]
        yield (
            f"{operation}, {service}",
            *map(format, medians, COLUMNS.values()),
            f"{phase.find_ratio(operation, service, 'cpu_us'):.2f}",
            f"{round_trips[operation][service]:g}",
        )


def print_results(postgres_version: str, phases: Sequence[Phase], round_trips: RoundTrips, quick: bool) -> None:
    """Print what was measured on which machine, and the goals. Exits with 1 if a goal is missed."""
    print(f"{describe_machine(postgres_version)}\n")
    memory: list[Sequence[str]] = [["workers, service", "RSS", "USS", "PSS"]]
    for phase in phases:
        print_table(f"{phase.setting.name}; median of {len(phase.rounds)} rounds", list_figures(phase, round_trips))
        if not phase.setting.delay_ms:
            for service, sizes in phase.memory.items():
                memory.append([f"{phase.setting.workers}, {service}", *map("{:.1f}".format, sizes.values())])
    print_table("memory of one worker after that, MiB", memory)
    conclude(list(list_goals(phases[0], phases[-1], round_trips)), quick)


def print_table(title: str, rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table. The first row is the header; all columns but the first contain numbers."""
    header, *others = rows
    first, *widths = (max(map(len, column)) for column in zip(header, *others, strict=True))
    line = f"| {{:{first}}} |" + "".join(f" {{:>{width}}} |" for width in widths)
    rule = f"|{'-' * (first + 2)}|" + "".join(f"{'-' * (width + 1)}:|" for width in widths)
    print("\n".join([title, "", line.format(*header), rule, *(line.format(*row) for row in others), ""]))


def conclude(goals: Sequence[Goal], quick: bool) -> None:
    """Print the goals. Exit with 1 if one is missed; a quick run is too short to judge any but the exact ones."""
    width = max(len(goal.name) for goal in goals)
    for goal in goals:
        bound = f"aim {goal.aim:.2f}, limit {goal.limit:.2f}" if goal.aim != goal.limit else f"at most {goal.aim:.2f}"
        bound = f"exactly {goal.aim:g}" if goal.exactly else bound
        print(f"{goal.verdict + ':':13} {goal.name:{width}} {goal.value:6.2f} ({bound})")
    if any(goal.verdict == "MISSED" and (goal.exactly or not quick) for goal in goals):
        sys.exit(1)

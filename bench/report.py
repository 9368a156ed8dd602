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
from statistics import geometric_mean, median, quantiles
from types import MappingProxyType

from bench.clients import OPERATIONS
from bench.services import Sample

# By operation, then by service.
Round = Mapping[str, Mapping[str, Sample]]
RoundTrips = Mapping[str, Mapping[str, float]]
Row = Sequence[str]

# The services to compare with, as a table names them.
OTHERS = {"peer": "… of FastAPI + SQLModel", "floor": "… of the bare WSGI callable"}
BEFORE = {"before": "… of the other checkout"}
CPU = {"service": "service_us", "database": "database_us", "service and database": "total_us"}
# As a share of the peer's CPU time per request: the aim and the limit. A result above the limit is a failure.
CPU_GOALS = {"list": (0.33, 0.40), "get": (0.50, 0.60), "create": (0.50, 0.50), "update": (0.50, 0.50)}
# As a share of the floor's and of the peer's CPU time in the database. Neither numbers its writes for a change feed.
DATABASE_GOALS = {
    "floor": {"list": 1.4, "get": 1.4, "create": 1.7, "update": 1.7},
    "peer": dict.fromkeys(OPERATIONS, 1.0),
}
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

    @property
    def operations(self) -> list[str]:
        """The operations that were measured."""
        return list(self.rounds[0])

    def find_median(self, operation: str, service: str, figure: str) -> float:
        """Return the median of a figure of Sample over the rounds."""
        return median(float(getattr(each[operation][service], figure)) for each in self.rounds)

    def find_ratio(self, operation: str, other: str, figure: str) -> float:
        """Return ours ÷ other: the median of each round's ratio, since other load on the machine hits both alike."""
        return median(self.list_ratios(operation, other, figure))

    def list_ratios(self, operation: str, other: str, figure: str) -> list[float]:
        """Return ours ÷ other in each round."""
        pairs = [(each[operation]["ours"], each[operation][other]) for each in self.rounds]
        return [float(getattr(ours, figure) / getattr(its, figure)) for ours, its in pairs]


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
        ratio = near.find_ratio(operation, "peer", "service_us")
        yield Goal(f"CPU of the service, ours ÷ peer, {operation}", ratio, aim, limit)
    means = [
        geometric_mean(each[name]["ours"].service_us / each[name]["floor"].service_us for name in OPERATIONS)
        for each in near.rounds
    ]
    yield Goal("CPU of the service, ours ÷ floor, geometric mean of all four", median(means), *FLOOR_GOAL)
    for other, operation in product(DATABASE_GOALS, OPERATIONS):
        ratio, aim = near.find_ratio(operation, other, "database_us"), DATABASE_GOALS[other][operation]
        yield Goal(f"CPU of the database, ours ÷ {other}, {operation}", ratio, aim, aim)
    # A single round, as in a quick run, says little about a latency.
    for operation, aim in DISTANCE_GOALS.items() if far.setting.rounds > 1 else ():
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


def list_figures(phases: Sequence[Phase], round_trips: RoundTrips) -> Iterator[Row]:
    """Yield the header and the rows of the table in docs/scaling.md: this service's figures, and those of the others.

    In parentheses after the figure of another service is ours ÷ its.
    """
    near, *more, far = phases
    yield from list_cpu_times(near, OTHERS)
    yield from compare(near, "per_second", "requests per second")
    for phase in more:
        yield from compare(phase, "per_second", f"… with {phase.setting.name}")
    for service, name in {"ours": "round trips to the database", "peer": OTHERS["peer"]}.items():
        yield name, *(f"{round_trips[operation][service]:g}" for operation in OPERATIONS)
    yield from compare(far, "p50_ms", f"p50 in ms, {far.setting.name}", {"peer": OTHERS["peer"]}, ".1f")


def list_cpu_times(phase: Phase, others: Mapping[str, str]) -> Iterator[Row]:
    """Yield the header and the rows of the CPU times; ``others`` are the names of the other services in the table."""
    yield f"medians of {phase.setting.rounds} rounds, {phase.setting.name}", *phase.operations
    for name, figure in CPU.items():
        yield from compare(phase, figure, f"CPU of {name}, µs per request", others)


def compare(
    phase: Phase, figure: str, name: str, others: Mapping[str, str] = MappingProxyType({}), form: str = ".0f"
) -> Iterator[Row]:
    """Yield the row of this service's figure, and a row for each of the others with ours ÷ its."""
    yield name, *(format(phase.find_median(operation, "ours", figure), form) for operation in phase.operations)
    for other, label in others.items():
        pairs = (
            (phase.find_median(operation, other, figure), phase.find_ratio(operation, other, figure))
            for operation in phase.operations
        )
        yield label, *(f"{value:{form}} ({ratio:.2f})" for value, ratio in pairs)


def list_spreads(phase: Phase, other: str) -> Iterator[Row]:
    """Yield the header and the rows of the quartiles of ours ÷ other: how much the rounds differ."""
    yield f"ours ÷ {other}: quartiles of {phase.setting.rounds} rounds", *phase.operations
    for name, figure in CPU.items():
        ratios = (phase.list_ratios(operation, other, figure) for operation in phase.operations)
        quartiles = (quantiles(each, method="inclusive") for each in ratios)
        yield f"CPU of {name}", *(" ".join(f"{value:.2f}" for value in each) for each in quartiles)


def print_results(postgres_version: str, phases: Sequence[Phase], round_trips: RoundTrips, quick: bool) -> None:
    """Print what was measured on which machine, and the goals. Exits with 1 if a goal is missed."""
    print_table(describe_machine(postgres_version), list_figures(phases, round_trips))
    sizes = [(service, *(f"{size:.1f}" for size in of.values())) for service, of in phases[0].memory.items()]
    print_table("Memory of the worker after that, MiB", [("service", "RSS", "USS", "PSS"), *sizes])
    conclude(list(list_goals(phases[0], phases[-1], round_trips)), quick)


def print_table(title: str, rows: Iterable[Row]) -> None:
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

"""The progress, the tables and the errors that are printed."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

# The steps of a client, with the heads of their columns.
STEPS = {
    "compiles": "compiles",
    "create": "create with key",
    "read": "read",
    "update": "update with If-Match",
    "list": "list to the last page",
    "finish": "complete, delete",
    "invalid": "422",
}
# The only step of the other tools.
CHECK = {"check": "passes"}
SHOWN_LINES = 12
STARTED = time.monotonic()


def say(text: str) -> None:
    """Print a line of the progress, with the seconds since the start."""
    print(f"{time.monotonic() - STARTED:4.0f} s  {text}", flush=True)


@dataclass
class Row:
    """A line of a table: the error of each step, empty if it succeeded, and the seconds of all."""

    name: str
    version: str
    errors: dict[str, str] = field(default_factory=dict)
    seconds: float = 0

    @contextmanager
    def measuring(self, step: str) -> Iterator[None]:
        """Add the duration of the context, and say that the step is done."""
        started = time.monotonic()
        yield
        self.seconds += time.monotonic() - started
        say(f"{self.name}: {step}")

    def find_failures(self, steps: Iterable[str]) -> dict[str, str]:
        """Return the error of each step that failed or did not run."""
        errors = {step: self.errors.get(step, "not tried") for step in steps}
        return {step: error for step, error in errors.items() if error}


def print_table(kind: str, steps: dict[str, str], rows: Iterable[Row]) -> None:
    table: list[Sequence[str]] = [[kind, "version", *steps.values(), "seconds"]]
    for row in rows:
        failures = row.find_failures(steps)
        results = ["NO" if step in failures else "yes" for step in steps]
        table.append([row.name, row.version, *results, f"{row.seconds:.1f}"])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def print_failures(steps: dict[str, str], rows: Iterable[Row]) -> int:
    """Print the first lines of each error, and return how many there are."""
    failures = [(row.name, step, error) for row in rows for step, error in row.find_failures(steps).items()]
    for name, step, error in failures:
        lines = error.strip().splitlines()
        left_out = [f"… and {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
        print("\n".join([f"{name}: {steps[step]}", *lines[:SHOWN_LINES], *left_out, ""]))
    return len(failures)

"""How long finding takes as a database grows.

Fills three databases of a PostgreSQL of its own: in each, one user has 20,000 tasks, and other people 10 thousand, 100
thousand or a million in all. Serves each with gunicorn and asks all of them in turns over HTTP as that user, so that
what else the machine does falls on all alike. Prints medians in milliseconds as a table, and whether the goals are met;
exits with 1 if one is not.
"""

import http.client
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from random import Random
from statistics import median
from urllib.parse import quote, urlsplit

import click

from bench.databases import create_database, postgres_running, vacuum
from bench.processes import SECRET, find_free_port, make_environment, run, running
from config import Settings
from todo import create_app
from todo.tasks.samples import add_tasks

OWN = 20_000
DEEP = 10_000
EACH = 50  # tasks of each other person
GROWTH_ALLOWED = 1.5
MILLISECONDS_ALLOWED = 100

QUERIES = {
    "first page, newest first": "limit=50",
    "a page 10,000 deep": "limit=50&deep",
    "first page by due date": "limit=50&sort=due_date",
    "a page 10,000 deep by last update": "limit=50&sort=updated&deep",
    "filter and sort": "limit=50&status=pending&priority=high&tag=work&sort=due_date",
    "filter and sort by title": "limit=50&status=completed&sort=title",
    "search, two words": "limit=50&search=МОЛОКО куп",
    "search in vain": "limit=50&search=nothing like it",
    "a list of 1,000": "limit=1000",
}
FILTERS = [
    "",
    "&status=pending",
    "&priority=high",
    "&tag=home",
    "&due_after=2026-01-01",
    "&search=a",
    "&search=nothing",
]
SORTS = ["created", "updated", "title", "due_date", "priority"]
EVERYTHING = [
    f"limit=50&sort={sort}&order={order}{filters}" for sort, order, filters in product(SORTS, ("asc", "desc"), FILTERS)
]
SLOWEST = "the slowest of 70 filters and orders"


class Service:
    """This service, served by one gunicorn worker, and the user that asks it."""

    def __init__(self, database_url: str) -> None:
        self.port = find_free_port()
        self.environment = make_environment(database_url, PORT=str(self.port), WEB_CONCURRENCY="1", RATE_LIMIT="off")

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Serve until it is left."""
        with running(["gunicorn", "wsgi:app", "--log-level", "warning"], self.environment, self.port):
            self.headers = {"Authorization": f"Bearer {run(['flask', 'token', 'user1'], self.environment).strip()}"}
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
            yield

    def ask(self, query: str) -> tuple[float, str | None]:
        """Ask for a list: the milliseconds until it is here, and the query of the next page."""
        started = time.perf_counter()
        self.connection.request("GET", f"/api/tasks?{quote(query, safe='=&%')}", headers=self.headers)
        response = self.connection.getresponse()
        response.read()
        milliseconds = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise click.ClickException(f"{query}: {response.status}")
        link = re.search("<(.*)>", response.headers.get("Link", ""))
        return milliseconds, urlsplit(link[1]).query if link else None

    def go_deep(self, query: str) -> str:
        """Return the query of the page that begins after the first 10,000 tasks."""
        page: str | None = query.replace("limit=50", "limit=1000").removesuffix("&deep")
        for _ in range(DEEP // 1000):
            page = self.ask(str(page))[1]
        return str(page).replace("limit=1000", "limit=50")


def fill(database_url: str, size: int) -> None:
    """Store the user's own tasks, and that many of other people between them."""
    people = size // EACH
    random = Random(size)  # noqa: S311 - the same tasks every time
    app = create_app(Settings.read({"NEON_DB_URL": database_url, "BETTER_AUTH_SECRET": SECRET}))
    label = f"{size:9,} tasks of other people"
    with app.app_context(), click.progressbar(length=size + OWN, label=label, file=sys.stderr) as bar:
        for number in range(people):
            own = OWN * (number + 1) // people - OWN * number // people
            for user_id, tasks in (("user1", own), (f"user{number + 2}", EACH)):
                for added in add_tasks(user_id, tasks, random):
                    bar.update(added)
    vacuum(database_url, "todo.tasks")


def time_queries(services: Sequence[Service], rounds: int) -> dict[str, list[float]]:
    """Return each query's median of each service, asked in turns, and last the largest of all filters and orders."""
    times: dict[str, list[list[float]]] = {name: [[] for _ in services] for name in (*QUERIES, *EVERYTHING)}
    pages = [
        {name: service.go_deep(query) if query.endswith("deep") else query for name, query in QUERIES.items()}
        | dict(zip(EVERYTHING, EVERYTHING, strict=True))
        for service in services
    ]
    with click.progressbar(range(rounds), label=f"{len(times)} queries, {rounds} rounds", file=sys.stderr) as bar:
        for _ in bar:
            for name, taken in times.items():
                for service, queries, values in zip(services, pages, taken, strict=True):
                    values.append(service.ask(queries[name])[0])
    medians = {name: [median(values) for values in taken] for name, taken in times.items()}
    slowest = [max(medians[name][number] for name in medians) for number in range(len(services))]
    return {name: medians[name] for name in QUERIES} | {SLOWEST: slowest}


def show(sizes: Sequence[int], results: dict[str, list[float]]) -> bool:
    """Print the table and the goals; return whether they are met."""
    width = max(map(len, results))
    print(f"| {'p50, ms; tasks of other people:':{width}} | " + " | ".join(f"{size:>9,}" for size in sizes) + " |")
    print(f"|{'-' * (width + 2)}|" + "|".join(["----------:"] * len(sizes)) + "|")
    for name, values in results.items():
        print(f"| {name:{width}} | " + " | ".join(f"{value:9.1f}" for value in values) + " |")
    pages = [results[name] for name in ("first page, newest first", "a page 10,000 deep")]
    growth = max(values[-1] / values[0] for values in pages)
    slowest = max(results[SLOWEST])
    goals = {
        f"pages by default order grow by {growth:.2f}, at most {GROWTH_ALLOWED}": growth <= GROWTH_ALLOWED,
        f"the slowest takes {slowest:.1f} ms, at most {MILLISECONDS_ALLOWED}": slowest <= MILLISECONDS_ALLOWED,
    }
    for goal, met in goals.items():
        print(f"{'met' if met else 'MISSED'}: {goal}")
    return all(goals.values())


@click.command()
@click.option("--quick", is_flag=True, help="Small tables, few rounds: to see that it works, in under a minute.")
@click.option("--also", type=int, multiple=True, help="Another size, 5000000 say: five minutes more.")
def main(quick: bool, also: tuple[int, ...]) -> None:
    """Measure how long finding takes as a database grows."""
    sizes = [*([1_000, 10_000] if quick else [10_000, 100_000, 1_000_000]), *also]
    with postgres_running() as postgres, ExitStack() as stack:
        services = []
        for size in sizes:
            database_url = create_database(postgres, f"with_{size}")
            services.append(Service(database_url))
            run(["flask", "db", "upgrade"], services[-1].environment)
            fill(database_url, size)
        for service in services:
            stack.enter_context(service.serve())
        met = show(sizes, time_queries(services, 5 if quick else 31))
    if not met and not quick:
        sys.exit(1)


if __name__ == "__main__":
    main()

"""How long lists, filters and searches take as a database grows.

Fills three databases. In each, one user has 20,000 tasks; other users have 10 thousand, 100 thousand or a million in
total. Serves each with gunicorn and sends the same requests to all of them in turns, so other load on the machine hits
all alike. Prints a table of medians in milliseconds, and the goals. Exits with 1 if a goal is missed.
"""

import http.client
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from statistics import median
from urllib.parse import quote, urlsplit

import click

from bench.data import create_database, fill, make_token
from bench.postgres import postgres_running
from bench.report import Goal, conclude, print_table
from bench.services import serving

OWN_TASKS = 20_000
TASKS_PER_USER = 50
DEEP = 10_000
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
COMBINATIONS = [
    f"limit=50&sort={sort}&order={order}{filters}" for sort, order, filters in product(SORTS, ("asc", "desc"), FILTERS)
]
SLOWEST = "the slowest of 70 filters and orders"


class Client:
    """A client of the user with 20,000 tasks, on one connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.headers = {"Authorization": f"Bearer {make_token('user1')}"}

    def fetch(self, query: str) -> tuple[float, str]:
        """Request a list. Returns the latency in milliseconds, and the query of the next page or nothing."""
        started = time.perf_counter()
        self.connection.request("GET", f"/api/tasks?{quote(query, safe='=&%')}", headers=self.headers)
        response = self.connection.getresponse()
        response.read()
        milliseconds = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise click.ClickException(f"{query}: {response.status}")
        link = re.search("<(.*)>", response.headers.get("Link", ""))
        return milliseconds, urlsplit(link[1]).query if link else ""

    def find_page(self, query: str) -> str:
        """Return the query itself, or the query of the page after the first 10,000 tasks if it ends with "deep"."""
        if not query.endswith("&deep"):
            return query
        page = query.removesuffix("&deep").replace("limit=50", "limit=1000")
        for _ in range(DEEP // 1000):
            _, page = self.fetch(page)
        return page.replace("limit=1000", "limit=50")


def list_amounts(size: int) -> Iterator[tuple[str, int]]:
    """Yield users and how many tasks to add for each. The tasks of user1 are scattered among those of others."""
    others = size // TASKS_PER_USER
    for number in range(others):
        yield "user1", OWN_TASKS * (number + 1) // others - OWN_TASKS * number // others
        yield f"user{number + 2}", TASKS_PER_USER


def measure(clients: Sequence[Client], rounds: int) -> dict[str, list[float]]:
    """Return the median of each query by client, and last the slowest of all queries."""
    queries = QUERIES | {query: query for query in COMBINATIONS}
    pages = [{name: client.find_page(query) for name, query in queries.items()} for client in clients]
    times: dict[str, list[list[float]]] = {name: [[] for _ in clients] for name in queries}
    with click.progressbar(range(rounds), label=f"{len(queries)} queries, {rounds} rounds", file=sys.stderr) as bar:
        for _ in bar:
            for name in queries:
                for client, page, taken in zip(clients, pages, times[name], strict=True):
                    taken.append(client.fetch(page[name])[0])
    medians = {name: [median(taken) for taken in by_client] for name, by_client in times.items()}
    slowest = [max(values) for values in zip(*medians.values(), strict=True)]
    return {name: medians[name] for name in QUERIES} | {SLOWEST: slowest}


@click.command()
@click.option("--quick", is_flag=True, help="Small tables and few rounds, to check that it works: under a minute.")
@click.option("--also", type=int, multiple=True, help="Another size, such as 5000000: five minutes more.")
def main(quick: bool, also: tuple[int, ...]) -> None:
    """Measure how long lists, filters and searches take as a database grows."""
    sizes = [*([1_000, 10_000] if quick else [10_000, 100_000, 1_000_000]), *also]
    with postgres_running() as postgres, ExitStack() as stack:
        database_urls = [create_database(postgres, f"with_{size}") for size in sizes]
        for size, database_url in zip(sizes, database_urls, strict=True):
            fill(database_url, list_amounts(size), f"{size:9,} tasks of other people")
        services = [stack.enter_context(serving("ours", postgres, url, workers=1)) for url in database_urls]
        results = measure([Client(service.port) for service in services], rounds=5 if quick else 31)
    rows = [[name, *(f"{milliseconds:.1f}" for milliseconds in medians)] for name, medians in results.items()]
    print_table("p50 in milliseconds", [["tasks of other people:", *(f"{size:,}" for size in sizes)], *rows])
    pages = [results[name] for name in ("first page, newest first", "a page 10,000 deep")]
    growth = max(medians[-1] / medians[0] for medians in pages)
    goals = [
        Goal("growth of pages in default order, as a factor", growth, aim=GROWTH_ALLOWED, limit=GROWTH_ALLOWED),
        Goal("the slowest, ms", max(results[SLOWEST]), aim=MILLISECONDS_ALLOWED, limit=MILLISECONDS_ALLOWED),
    ]
    conclude(goals, quick)


if __name__ == "__main__":
    main()

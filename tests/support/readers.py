"""A user who makes the service work much and reads slowly, and another user whose requests are timed meanwhile."""

import http.client
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from config import Settings
from tests.support.databases import SECRET, Database
from todo.auth.tokens import issue_token

Connect = Callable[[], http.client.HTTPConnection]
GREEDY, BYSTANDER = "greedy", "bystander"
SLICE_SECONDS = 0.1


class Times(NamedTuple):
    """The seconds that the bystander's requests took, and how many of each status there were."""

    median: float
    worst: float
    statuses: Counter[int]


def fill(database: Database) -> None:
    """Give the greedy user 1,000 tasks of 9 kB each and the bystander three small ones."""
    database.run(
        "INSERT INTO todo.tasks (user_id, title, description, tags, tags_folded)"
        " SELECT %s, number || repeat('😀', 190), repeat('😀', 1000), tags, tags"
        " FROM generate_series(1, 1000) AS number,"
        " (SELECT array_agg(tag || repeat('😀', 48)) AS tags FROM generate_series(10, 29) AS tag) AS made",
        (GREEDY,),
    )
    database.run("INSERT INTO todo.tasks (user_id, title) SELECT %s, 'x' FROM generate_series(1, 3)", (BYSTANDER,))


def authorize(user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(Settings(better_auth_secret=SECRET), user_id, 3600)}"}


@dataclass
class Crowd:
    """Connections of the greedy user, each in its own thread, until ``done``."""

    connect: Connect
    done: threading.Event = field(default_factory=threading.Event)
    statuses: Counter[int] = field(default_factory=Counter)
    headers: dict[str, str] = field(default_factory=lambda: authorize(GREEDY))

    def open(self, path: str) -> http.client.HTTPConnection:
        """Send a request on a new connection whose buffer for responses is small."""
        connection = self.connect()
        try:
            connection.connect()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.request("GET", path, headers=self.headers)
        except OSError:
            connection.close()
            raise
        return connection

    def ask_and_never_read(self, path: str, per_second: int) -> None:
        connections = []
        while not self.done.wait(1 / per_second):
            with suppress(OSError):
                connections.append(self.open(path))
        for connection in connections:
            connection.close()

    def read_slowly(self, path: str, bytes_per_second: int) -> None:
        size = int(bytes_per_second * SLICE_SECONDS)
        while not self.done.is_set():
            with (
                suppress(OSError, http.client.HTTPException),
                closing(self.open(path)) as connection,
                closing(connection.getresponse()) as response,
            ):
                self.statuses[response.status] += 1
                while not self.done.wait(SLICE_SECONDS) and response.read(size):
                    pass

    def read_fast(self, path: str) -> None:
        with closing(self.connect()) as connection:
            while not self.done.is_set():
                try:
                    connection.request("GET", path, headers=self.headers)
                    response = connection.getresponse()
                    response.read()
                    self.statuses[response.status] += 1
                except (OSError, http.client.HTTPException):
                    connection.close()

    @contextmanager
    def busy(self, work: Callable[[], None], number: int = 1) -> Iterator[None]:
        """Do the work in so many threads."""
        threads = [threading.Thread(target=work) for _ in range(number)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.done.set()
            for thread in threads:
                thread.join()


def time_requests(connect: Connect, seconds: float) -> Times:
    """Send requests of the bystander, each on a new connection, ten in a second."""
    headers, times, statuses = authorize(BYSTANDER), [], Counter[int]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        connection = connect()
        try:
            connection.request("GET", "/api/tasks?limit=1", headers=headers)
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        except TimeoutError:
            statuses[0] += 1
        connection.close()
        times.append(time.monotonic() - started)
        time.sleep(0.1)
    return Times(statistics.median(times), max(times), statuses)

"""While the database is silent or a table is locked, clients get every response in time."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import psutil
import pytest

from config import Settings
from embedded import EmbeddedPostgres
from tests.support.clusters import server_of, wait_until
from tests.support.commands import call, free_port, run, serve
from tests.support.databases import SECRET
from todo.auth.tokens import issue_token

WORKERS, THREADS = 2, 8
OUTAGE_SECONDS = 10
STATEMENT_SECONDS = Settings().statement_seconds
USERS = 20


class Answer(NamedTuple):
    """The response to a request, and how long its client waited."""

    path: str
    status: int
    seconds: float
    request_id: str


class Service(NamedTuple):
    """A running service, its database and its log."""

    port: int
    postgres: EmbeddedPostgres
    log: Path

    def ask(self, method: str, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> Answer:
        started = time.monotonic()
        body = '{"title": "x"}' if method == "POST" else None
        answer = call(self.port, method, path, body, **headers)
        return Answer(path, answer.status, time.monotonic() - started, answer.headers["X-Request-ID"])

    def bombard(self, per_second: int, seconds: float, people: int = USERS) -> list[Answer]:
        """Send requests of so many users at a steady rate, whether or not earlier ones are answered.

        Return the answers. Among them are those of /healthz and /readyz.
        """
        users = [
            {"Authorization": f"Bearer {issue_token(Settings(better_auth_secret=SECRET), f'user {number}', 600)}"}
            for number in range(people)
        ]
        answers = []
        with ThreadPoolExecutor(500) as threads:
            started = time.monotonic()
            for number in range(int(per_second * seconds)):
                time.sleep(max(0, started + number / per_second - time.monotonic()))
                headers = users[number % people] | {"Content-Type": "application/json"}
                answers.append(threads.submit(self.ask, ("GET", "POST")[number % 2], "/api/tasks", headers))
                if number % (per_second // 2) == 0:
                    answers.append(threads.submit(self.ask, "GET", "/healthz"))
                if number % (2 * per_second) == 0:
                    answers.append(threads.submit(self.ask, "GET", "/readyz"))
        return [answer.result() for answer in answers]

    def find_logged_seconds(self, answer: Answer) -> float:
        """Return the duration of a request by the log."""
        line = next(line for line in self.log.read_text().splitlines() if f'"{answer.request_id}", "method"' in line)
        return float(json.loads(line)["ms"]) / 1000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("silence") / "postgres")
    postgres.start()
    port, log = free_port(), tmp_path_factory.mktemp("log") / "service.log"
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": postgres.url(), "THREADS": str(THREADS)}
    assert run("flask", "db", "upgrade", settings=settings).returncode == 0
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), settings=settings, log=log):
        service = Service(port, postgres, log)
        service.bombard(50, 1)  # Opens the connections.
        yield service
    postgres.close()


@contextmanager
def silent(postgres: EmbeddedPostgres) -> Iterator[None]:
    """Stop all processes of PostgreSQL: nothing is refused, and nothing arrives."""
    server = server_of(postgres.home.path)
    stopped = [server, *server.children()]
    for process in stopped:
        with suppress(psutil.Error):
            process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            with suppress(psutil.Error):
                process.resume()


@contextmanager
def locked(postgres: EmbeddedPostgres) -> Iterator[None]:
    """Lock the table of tasks."""
    with postgres.connect() as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE todo.tasks")
        yield
    connection.close()


@pytest.mark.parametrize(
    ("fault", "per_second", "people"), [(silent, 12, USERS), (silent, 60, USERS), (locked, 12, USERS), (locked, 12, 1)]
)
def test_requests_are_answered_in_time_without_a_database(
    service: Service, fault: Callable[[EmbeddedPostgres], AbstractContextManager[None]], per_second: int, people: int
) -> None:
    with fault(service.postgres):
        answers = service.bombard(per_second, OUTAGE_SECONDS, people)
    tasks, alive, ready = ([a for a in answers if a.path == path] for path in ("/api/tasks", "/healthz", "/readyz"))
    slowest = [max(answer.seconds for answer in kind) for kind in (tasks, alive, ready)]
    unlogged = max(answer.seconds - service.find_logged_seconds(answer) for answer in tasks)
    print(
        f"\n{fault.__name__}, {per_second} per second of {people}: at most {slowest[0]:.2f} s,"
        f" /healthz {slowest[1]:.2f} s, /readyz {slowest[2]:.2f} s; {unlogged:.2f} s more than in the log"
    )
    assert {answer.status for answer in alive} == {200}
    assert {answer.status for answer in tasks} == {503}
    assert slowest[1] < 1
    assert max(slowest) < STATEMENT_SECONDS + 1
    assert unlogged < 0.5
    wait_until(lambda: service.ask("GET", "/readyz").status == 200)

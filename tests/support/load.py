"""Users who create, change and read tasks over HTTP during faults, and check every acknowledged write afterwards."""

import http.client
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from config import Settings
from tests.support.databases import SECRET
from todo.auth.tokens import issue_token

PEOPLE = 6
# Limits of the service: waiting for a connection, the statement, and the end of a silent connection.
PATIENCE_SECONDS = 15


@dataclass
class User:
    """A user who sends one request after the other."""

    port: int
    user_id: str
    certificate: Path | None = None  # A certificate selects TLS.
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    slowest: float = 0.0
    # Acknowledged writes: the creations per title, and the possible descriptions of each task.
    created: dict[str, int] = field(default_factory=dict)
    described: dict[int, set[str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        token = issue_token(Settings(better_auth_secret=SECRET), self.user_id, 3600)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        patience = PATIENCE_SECONDS + 5
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        if self.certificate:
            context = ssl.create_default_context(cafile=str(self.certificate))
            self._connection = http.client.HTTPSConnection("localhost", self.port, timeout=patience, context=context)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int | None, Any]:
        """Return status and body. The status is None if the connection was lost, as when a worker is killed."""
        started = time.monotonic()
        try:
            self._connection.request(method, path, body and json.dumps(body), {**self._headers, **headers})
            response = self._connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()
            self.lost += 1
            return None, None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - started)
        self.statuses[response.status] += 1
        return response.status, json.loads(content) if content else None

    def connect(self) -> None:
        self._connection.connect()

    def hang_up(self) -> None:
        self._connection.close()

    def work(self, done: threading.Event) -> None:
        """Repeatedly create, change and read a task."""
        while not done.is_set():
            title = uuid4().hex
            status: int | None = None
            task: Any = None
            while status != 201:  # The key allows retries until the task exists.
                status, task = self.call("POST", "/api/tasks", {"title": title}, **{"Idempotency-Key": title})
                if status != 201:
                    if done.is_set():
                        return
                    time.sleep(0.05)
            self.created[title] = task["id"]
            self.described[task["id"]] = {None}
            for number in range(3):
                description = str(number)
                status, _ = self.call("PATCH", f"/api/tasks/{task['id']}", {"description": description})
                if status == 200:
                    self.described[task["id"]] = {description}
                else:  # The outcome of the request is unknown.
                    self.described[task["id"]].add(description)
            self.call("GET", f"/api/tasks/{task['id']}")

    def list_tasks(self) -> list[dict[str, Any]]:
        """Return the tasks of all pages, and close the connection."""
        self._connection.close()  # The connection may have been idle for too long.
        path: str | None = "/api/tasks?limit=1000"
        found: list[dict[str, Any]] = []
        while path:
            self._connection.request("GET", path, headers=self._headers)
            response = self._connection.getresponse()
            found += json.loads(response.read())
            link = response.headers.get("Link")
            path = link.split(">")[0].partition(f":{self.port}")[2] if link else None
        self._connection.close()
        return found

    def check(self) -> None:
        """Check that every acknowledged write exists exactly once."""
        found = self.list_tasks()
        titles = Counter(task["title"] for task in found)
        assert {title for title in self.created if titles[title] != 1} == set()
        assert max(titles.values(), default=1) == 1
        described = {task["id"]: task["description"] for task in found}
        assert [task for task, possible in self.described.items() if described[task] not in possible] == []


@contextmanager
def working_users(port: int, certificate: Path | None = None) -> Iterator[list[User]]:
    """Let users work for the duration of a with statement, then check their acknowledged writes."""
    users = [User(port, f"worker {uuid4().hex}", certificate) for _ in range(PEOPLE)]
    done = threading.Event()
    threads = [threading.Thread(target=user.work, args=(done,)) for user in users]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        yield users
        time.sleep(2)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    for user in users:
        user.check()
    statuses = sum((user.statuses for user in users), Counter())
    acknowledged = sum(len(user.created) for user in users)
    slowest = max(user.slowest for user in users)
    print(f"\n{acknowledged} creations, answers {dict(statuses)}, slowest {slowest:.1f} s")
    assert acknowledged > 50
    assert set(statuses) <= {200, 201, 503}
    assert slowest < PATIENCE_SECONDS

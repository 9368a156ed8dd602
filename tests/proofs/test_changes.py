"""A device that reads the change feed has exactly the user's tasks, while many writers write and servers are killed."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import psutil
import pytest

from embedded import EmbeddedPostgres
from tests.support.clusters import ask, server_of, wait_until
from tests.support.commands import call, free_port, run, serve
from tests.support.databases import SECRET
from tests.support.feeds import apply, read_place
from tests.support.load import User

WRITERS = 8
# Writers meet at the same few tasks.
KNOWN = 12
TEMPORARY = {None, 429, 503}
EXPECTED = {200, 201, 204, 404, 409, 410, 412}
# Completing it adds a task, and reopening it removes that one.
RECURRING = {"title": "recurring", "due_date": "2026-12-31", "recurrence": {"rule": "FREQ=DAILY"}}


class Service(NamedTuple):
    """A service with three workers, and its PostgreSQL."""

    port: int
    master: psutil.Process
    postgres: EmbeddedPostgres


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("changes") / "postgres")
    postgres.start()
    port, log = free_port(), tmp_path_factory.mktemp("log") / "service.log"
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": postgres.url(), "RATE_LIMIT": "off"}
    assert run("flask", "db", "upgrade", settings=settings).returncode == 0
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "3", settings=settings, log=log) as process:
        yield Service(port, psutil.Process(process.pid), postgres)
    postgres.close()


@dataclass
class Writer(User):
    """A client that writes in every way to the tasks that all writers of the user know."""

    known: list[dict[str, Any]] = field(default_factory=list)
    # The response that was not expected.
    surprises: list[Any] = field(default_factory=list)

    def write(self, done: threading.Event) -> None:
        while not done.is_set():
            self.write_once()

    def write_once(self) -> None:
        known = self.known[:]
        task = random.choice(known) if known else None
        way = random.random()
        if task is None or way < 0.15:
            headers = {"Idempotency-Key": uuid4().hex} if way < 0.1 else {}
            self.send("POST", "/api/tasks", random.choice([RECURRING, {"title": uuid4().hex}]), **headers)
            return
        if way < 0.2:
            self.write_batch({task["id"]: task["uid"] for task in random.sample(known, len(known))})
            return
        name = task[random.choice(["id", "uid"])]
        path, version = f"/api/tasks/{name}", {"If-Match": task["etag"]} if way < 0.3 else {}
        if way < 0.25:
            self.send("PUT", f"/api/tasks/{uuid4()}", {"title": "put"})
        elif way < 0.35:
            self.send("PUT", f"/api/tasks/{task['uid']}", {"title": uuid4().hex}, **version)
        elif way < 0.5:
            self.send("PATCH", path, {"title": random.choice("abc"), "tags": ["x"]}, **version)
        elif way < 0.65:
            self.send("PATCH", f"{path}/complete", {"completed": random.random() < 0.6})
        elif way < 0.75:
            self.send("POST", f"{path}/toggle")
        elif way < 0.88:
            self.send("DELETE", path)
        elif way < 0.99:
            self.send("POST", f"/api/trash/{name}/restore")
        else:
            self.send("DELETE", f"/api/trash/{name}")

    def write_batch(self, names: dict[int, str]) -> None:
        """Change some tasks at once, in any order, and create and delete one."""
        *changed, deleted = list(names)[:3]
        operations: list[dict[str, Any]] = [{"op": "delete", "uid": names[deleted]}]
        changes = [{"title": uuid4().hex}, {"completed": True}, {"completed": False}]
        operations += [{"op": "update", "id": task_id, "changes": random.choice(changes)} for task_id in changed]
        operations.append({"op": "create", "task": {"title": "of a batch"}})
        headers = {"Idempotency-Key": uuid4().hex} if random.random() < 0.5 else {}
        self.send("POST", "/api/tasks/batch", {"operations": operations}, **headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        status, answer = self.call(method, path, body, **headers)
        if status in TEMPORARY:
            time.sleep(0.02)
        elif status not in EXPECTED:
            self.surprises.append((method, path, status, answer))
        elif status in {200, 201}:
            tasks = [task for task in answer.get("tasks", [answer]) if task]
            self.known += tasks
            del self.known[:-KNOWN]
            for task in tasks:
                if task["next_id"] and method != "GET":
                    self.send("GET", f"/api/tasks/{task['next_id']}")


@dataclass
class Device(User):
    """A client that copies the tasks, breaks off at random, and goes on with its last cursor."""

    copy: dict[int, dict[str, Any]] = field(default_factory=dict)
    cursor: str | None = None
    expiries: int = 0

    def read(self, limit: int) -> bool:
        """Apply a page; return whether there may be more."""
        query = f"?limit={limit}" + (f"&cursor={self.cursor}" if self.cursor else "")
        status, body = self.call("GET", f"/api/tasks/changes{query}")
        if status in TEMPORARY:
            time.sleep(0.02)
            return True
        if status == 410:
            self.copy, self.cursor, self.expiries = {}, None, self.expiries + 1
            return True
        assert status == 200, body
        for change in body["changes"]:
            apply(self.copy, change)
        self.cursor = body["cursor"]
        return bool(body["more"])

    def read_often(self, done: threading.Event) -> None:
        while not done.is_set():
            while self.read(random.randint(1, 9)) and random.random() < 0.9:
                pass
            time.sleep(random.choice([0, 0, 0.02]))

    def sync(self) -> None:
        while self.read(1000):
            pass


COUNTER = "SELECT change FROM todo.feeds WHERE user_id = %s"
NUMBERS = """
    SELECT id, change FROM todo.tasks WHERE user_id = %s
    UNION ALL SELECT id, change FROM todo.trash WHERE user_id = %s
"""


@dataclass
class Auditor:
    """Looks for a number that appears after a reader could have passed it."""

    postgres: EmbeddedPostgres
    device: Device
    looks: int = 0
    late: list[Any] = field(default_factory=list)

    def look_often(self, done: threading.Event) -> None:
        while not done.is_set():
            with suppress(Exception):  # PostgreSQL is killed meanwhile.
                self.look(done)
            time.sleep(0.1)

    def look(self, done: threading.Event) -> None:
        passed, known = 0, set[Any]()
        connection = self.postgres.connect()
        with connection, connection.cursor() as cursor:
            while not done.is_set():
                # Whatever a later look finds at or below this number must be there now.
                self.device.sync()
                number = read_place(str(self.device.cursor))[2]
                cursor.execute(NUMBERS, [self.device.user_id] * 2)
                rows = set(cursor.fetchall())
                connection.commit()
                self.late += [row for row in rows - known if row[1] <= passed]
                known, passed = rows, number
                self.looks += 1
        connection.close()


@contextmanager
def working(service: Service) -> Iterator[list[Writer]]:
    """Let writers, devices and an auditor work for the duration of a with statement, then compare."""
    user_id, known = f"user {uuid4().hex}", list[dict[str, Any]]()
    writers = [Writer(service.port, user_id, known=known) for _ in range(WRITERS)]
    devices = [Device(service.port, user_id) for _ in range(2)]
    auditor = Auditor(service.postgres, Device(service.port, user_id))
    done, stopped = threading.Event(), threading.Event()
    threads = [threading.Thread(target=writer.write, args=(done,)) for writer in writers]
    readers = [threading.Thread(target=device.read_often, args=(stopped,)) for device in devices]
    readers.append(threading.Thread(target=auditor.look_often, args=(stopped,)))
    for thread in threads + readers:
        thread.start()
    try:
        yield writers
    finally:
        done.set()
        for thread in threads:
            thread.join()
        time.sleep(0.3)
        stopped.set()
        for thread in readers:
            thread.join()
    statuses = sum((writer.statuses for writer in writers), writers[0].statuses.__class__())
    pages = [sum(device.statuses.values()) for device in devices]
    expiries = [device.expiries for device in devices]
    print(f"\n{dict(statuses)}, {pages} pages, {expiries} expiries, {auditor.looks} looks")
    assert [surprise for writer in writers for surprise in writer.surprises] == []
    assert auditor.late == []
    assert auditor.looks > 5
    assert min(pages) > 20
    devices += [auditor.device, Device(service.port, user_id)]
    try:
        check(service, devices)
    finally:
        for user in [*writers, *devices]:
            user.hang_up()


def check(service: Service, devices: list[Device]) -> None:
    """Check that each copy equals the table, and that the counter is ahead of all numbers."""
    user_id = devices[0].user_id
    expected = {task["id"]: task for task in User(service.port, user_id).list_tasks()}
    assert any(task["next_id"] for task in expected.values())
    for device in devices:
        device.sync()
        assert {task_id: task for task_id, task in device.copy.items() if expected.get(task_id) != task} == {}
        assert set(device.copy) == set(expected)
    connection = service.postgres.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(COUNTER, (user_id,))
        [(counter,)] = cursor.fetchall()
        cursor.execute(NUMBERS, [user_id] * 2)
        numbers = [number for _, number in cursor.fetchall()]
    connection.close()
    assert 0 < max(numbers) <= counter
    assert {read_place(str(device.cursor))[2] for device in devices} == {counter}
    # A batch gives its rows one number, and so does a completion with the successor.
    assert 1 < max(Counter(numbers).values()) <= 6


def test_devices_have_all_changes_of_many_writers(service: Service) -> None:
    with working(service) as writers:
        time.sleep(4)
    assert not any({None, 503} & set(writer.statuses) for writer in writers)
    assert ask(service.postgres, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


def test_devices_have_all_changes_despite_killed_servers(service: Service) -> None:
    with working(service):
        for _ in range(2):
            time.sleep(1)
            service.master.children()[0].kill()
            time.sleep(0.5)
            server_of(service.postgres.home.path).kill()
            wait_until(lambda: call(service.port, "GET", "/readyz").status == 200)
        time.sleep(1)
    assert ask(service.postgres, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0

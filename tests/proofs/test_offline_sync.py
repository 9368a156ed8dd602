"""The code of docs/offline-sync.md on two devices of one user, with the real RxDB, while all around them breaks.

And the code of docs/recurring-tasks.md, with the real rrule.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from config import Settings
from tests.support.clusters import wait_until
from tests.support.commands import ROOT, free_port, invoke, serve
from tests.support.databases import SECRET, Database, Server
from tests.support.devices import Device, Link
from tests.support.documents import RULES, list_rows, read_page
from tests.support.frontend import FOLDER, find_missing, install
from tests.support.load import User
from todo.auth.tokens import issue_token

missing = find_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))

PACKAGES = ROOT / "tests" / "frontend"
BLOCK = re.compile(r"^```ts\n// (lib/\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIELDS = ["uid", "id", "created_at", "title", "description", "completed", "priority", "tags", "due_date", "remind_at"]
FIELDS += ["recurrence"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client, the code of the page, whose types are checked, and the packages."""
    install()
    install(PACKAGES)
    folder = tmp_path_factory.mktemp("sync")
    shutil.copytree(PACKAGES / "sync", folder, dirs_exist_ok=True)
    (folder / "lib").mkdir()
    for name in ("api.ts", "api-types.ts"):
        shutil.copy(FOLDER / "lib" / name, folder / "lib")
    for page in ("offline-sync.md", "recurring-tasks.md"):
        for path, text in BLOCK.findall(read_page(page)):
            (folder / path).write_text(text)
    (folder / "node_modules").symlink_to(PACKAGES / "node_modules")
    programs = FOLDER / "node_modules" / ".bin"
    bundle = "esbuild device.mjs collection.mjs recurring.mjs --bundle --format=esm --external:node:* --outdir=built"
    for command in ("tsc --project .", bundle):
        program, *arguments = command.split()
        done = subprocess.run(
            [programs / program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "built"


class Service:
    """The service, which can be killed and started again."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.port = free_port()
        self.settings = {"NEON_DB_URL": database.url(), "BETTER_AUTH_SECRET": SECRET, "RATE_LIMIT": "off"}
        self._stack = ExitStack()

    def start(self) -> None:
        arguments = ("--bind", f"127.0.0.1:{self.port}", "--workers", "2")
        self._process = self._stack.enter_context(serve(self.port, *arguments, settings=self.settings))

    def kill(self) -> None:
        """Kill the workers and their master."""
        master = psutil.Process(self._process.pid)
        for process in [master, *master.children(recursive=True)]:
            process.kill()
        self._stack.close()


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[Service]:
    with server.database(migrated=True) as database:
        service = Service(database)
        service.start()
        yield service
        service.kill()


class Pair:
    """Two devices of one user, and the user's requests to the service."""

    def __init__(self, service: Service, user: User, phone: Device, laptop: Device) -> None:
        self.service, self.user, self.phone, self.laptop = service, user, phone, laptop
        self.both = (phone, laptop)

    def list_tasks(self) -> list[dict[str, Any]]:
        """Return the tasks that the service has, by UID."""
        _, tasks = self.user.call("GET", "/api/tasks?limit=1000")
        return sort({name: task[name] for name in FIELDS} for task in tasks)

    def sync(self, *devices: Device) -> list[dict[str, Any]]:
        """Bring the devices, by default both, to the front until they have what the service has. Return the tasks."""

        def agree() -> bool:
            for device in devices or self.both:
                device.do("focus")
            tasks = self.list_tasks()
            return all(sort(device.do("list")) == tasks for device in devices or self.both)

        wait_until(agree, 60)
        return self.list_tasks()


def sort(tasks: Any) -> list[dict[str, Any]]:
    return sorted(tasks, key=lambda task: str(task["uid"]))


@pytest.fixture
def pair(service: Service, folder: Path, tmp_path: Path) -> Iterator[Pair]:
    user_id = uuid4().hex
    token = issue_token(Settings(better_auth_secret=SECRET), user_id, 3600)
    program = folder / "device.js"
    with Link(service.port) as one, Link(service.port) as other:
        devices = [Device(program, link, token, tmp_path / name) for name, link in (("phone", one), ("laptop", other))]
        user = User(service.port, user_id)
        yield Pair(service, user, *devices)
        user.hang_up()
        for device in devices:
            device.kill()


def test_devices_that_were_offline_end_up_equal(pair: Pair) -> None:
    phone, laptop = pair.both
    for number in range(120):  # More than a page.
        assert pair.user.call("POST", "/api/tasks", {"title": f"Task {number}", "due_date": "2026-12-31"})[0] == 201
    first, second, third, fourth, fifth = (task["uid"] for task in pair.sync()[:5])
    assert sum("changes" in request for request in phone.link.requests) > 1

    for device in pair.both:
        device.link.cut()
    phone.do("change", first, {"title": "Other members"})
    laptop.do("change", first, {"description": "of one task", "tags": ["both"]})
    phone.do("change", second, {"title": "Phone"})
    laptop.do("change", second, {"title": "Laptop"})
    phone.do("remove", third)
    laptop.do("change", third, {"title": "Edited"})
    phone.do("change", fourth, {"completed": True})
    laptop.do("remove", fourth)
    new = phone.do("add", {"title": "New"})
    phone.do("change", new, {"priority": "high"})
    phone.do("remove", phone.do("add", {"title": "Never sent"}))
    laptop.do("add", {"title": " trimmed ", "due_date": "2026-12-31T12:00:00+05:00"})
    for device in pair.both:
        assert len(device.do("list")) == 120
        device.link.mend()

    tasks = {task["uid"]: task for task in pair.sync()}
    one = tasks[first]
    assert (one["title"], one["description"], one["tags"]) == ("Other members", "of one task", ["both"])
    assert tasks[second]["title"] in {"Phone", "Laptop"}
    assert {third, fourth} & set(tasks) == set()
    assert tasks[new]["priority"] == "high"
    [other] = (task for task in tasks.values() if task["title"] == "trimmed")
    assert other["due_date"] == "2026-12-31T07:00:00.000000Z"

    assert pair.user.call("POST", f"/api/trash/{third}/restore")[0] == 200
    pair.user.call("DELETE", f"/api/tasks/{fifth}")
    uids = {task["uid"] for task in pair.sync()}
    assert third in uids
    assert fifth not in uids


def test_a_recurring_task_has_one_successor_on_all_devices(pair: Pair) -> None:
    recurrence = {"rule": "FREQ=WEEKLY", "from": "due", "time_zone": None}
    phone, _ = pair.both
    uid = phone.do("add", {"title": "Call Grandma", "due_date": "2099-01-01", "recurrence": recurrence})
    pair.sync()
    for device in pair.both:
        device.link.cut()
        device.do("change", uid, {"completed": True})
    for device in pair.both:
        device.link.mend()
    wait_until(lambda: len(pair.list_tasks()) == 2)
    done, following = sorted(pair.sync(), key=lambda task: int(task["id"]))
    assert (done["completed"], following["due_date"], following["recurrence"]) == (True, "2099-01-08", recurrence)
    phone.do("change", uid, {"completed": False})
    wait_until(lambda: len(pair.list_tasks()) == 1)
    assert [task["uid"] for task in pair.sync()] == [uid]


def test_lost_responses_leave_other_fields_as_they_are(pair: Pair) -> None:
    phone, laptop = pair.both
    phone.link.lose("PUT")
    new = phone.do("add", {"title": "New"})
    wait_until(lambda: len(pair.list_tasks()) == 1)
    pair.sync(laptop)
    laptop.do("change", new, {"description": "Laptop", "completed": True})
    phone.do("change", new, {"title": "Newer"})
    pair.sync(laptop)
    phone.link.mend()
    [task] = pair.sync()
    assert (task["title"], task["description"], task["completed"]) == ("Newer", "Laptop", True)

    phone.link.lose("PATCH")
    phone.do("change", new, {"title": "Newest"})
    wait_until(lambda: pair.list_tasks()[0]["title"] == "Newest")
    phone.do("change", new, {"title": "Newer"})  # Back to what the device knows of the service.
    phone.link.mend()
    wait_until(lambda: pair.list_tasks()[0]["title"] == "Newer")

    phone.link.lose("DELETE")
    phone.do("remove", new)
    wait_until(lambda: pair.list_tasks() == [])
    phone.link.mend()
    assert pair.sync() == []


def test_repeated_rows_undo_no_newer_change(pair: Pair) -> None:
    phone, laptop = pair.both
    for title in ("1", "2"):
        pair.user.call("POST", "/api/tasks", {"title": title})
    one, two = (task["uid"] for task in pair.sync())
    phone.link.cut()
    phone.do("change", one, {"title": "Phone"})  # While this row waits, RxDB collects the others.
    phone.do("change", two, {"title": "Phone"})
    phone.do("add", {"title": "New"})
    phone.link.lose("PUT")
    phone.link.join()
    wait_until(lambda: len(pair.list_tasks()) == 3)
    pair.sync(laptop)
    laptop.do("change", two, {"title": "Laptop"})
    pair.sync(laptop)
    number = len(phone.link.requests)
    wait_until(lambda: f"GET /api/tasks/{two}" in phone.link.requests[number:])
    phone.link.mend()
    assert {task["uid"]: task["title"] for task in pair.sync()}[two] == "Laptop"


def test_a_pull_during_a_push_loses_no_change(pair: Pair) -> None:
    phone, _ = pair.both
    pair.user.call("POST", "/api/tasks", {"title": "Old"})
    [task] = pair.sync()
    phone.link.hold("request GET", "response PATCH")
    number = len(phone.link.requests)
    phone.do("focus")
    wait_until(lambda: len(phone.link.requests) > number)
    phone.do("change", task["uid"], {"title": "Phone"})
    time.sleep(0.3)  # Time in which it could be sent.
    pair.user.call("PATCH", f"/api/tasks/{task['uid']}", {"title": "Newer"})
    phone.link.release("request GET")
    time.sleep(0.3)  # Time in which the response to the pull is used.
    phone.link.mend()
    pair.sync()


def test_a_killed_service_and_a_killed_device_lose_nothing(pair: Pair) -> None:
    phone, laptop = pair.both
    pair.user.call("POST", "/api/tasks", {"title": "Old"})
    [task] = pair.sync()
    phone.link.cut()
    phone.do("change", task["uid"], {"title": "Changed"})
    laptop.do("change", task["uid"], {"description": "also"})
    for number in range(40):
        phone.do("add", {"title": f"Phone {number}"})
    pair.sync(laptop)
    phone.kill()
    phone.link.mend()
    phone.start()
    wait_until(lambda: sum("PUT" in request for request in phone.link.requests) >= 10, 60)
    pair.service.kill()
    pair.user.hang_up()
    phone.kill()
    pair.service.start()
    assert len(pair.list_tasks()) < 41
    phone.start()
    tasks = {task["title"]: task for task in pair.sync()}
    assert tasks["Changed"]["description"] == "also"
    assert len(tasks) == len(pair.list_tasks()) == 41


def test_a_device_drops_its_copy_when_its_cursor_expires(pair: Pair) -> None:
    phone, _ = pair.both
    for title in ("Kept", "Lost", "Lost with a change"):
        pair.user.call("POST", "/api/tasks", {"title": title})
    uids = {task["title"]: task["uid"] for task in pair.sync()}
    phone.link.cut()
    new = phone.do("add", {"title": "New"})
    phone.do("change", uids["Kept"], {"title": "Changed"})
    phone.do("change", uids["Lost with a change"], {"title": "Lost, too"})
    # A backup is restored that lacks two tasks.
    pair.service.database.run("DELETE FROM todo.tasks WHERE user_id = %s AND title LIKE 'Lost%%'", (pair.user.user_id,))
    assert invoke("feed", "renew", settings=pair.service.settings).exit_code == 0
    for device in pair.both:
        device.link.mend()
    assert {task["uid"]: task["title"] for task in pair.sync()} == {uids["Kept"]: "Changed", new: "New"}
    for device in pair.both:
        assert device.link.requests.count("GET /api/tasks/changes?limit=100") == 2


def test_a_refused_change_stops_no_other(pair: Pair) -> None:
    phone, _ = pair.both
    pair.user.call("POST", "/api/tasks", {"title": "Old"})
    [task] = pair.sync()
    phone.do("add", {"title": " "})
    phone.do("change", task["uid"], {"tags": ["x" * 51]})
    phone.do("add", {"title": "New"})
    wait_until(lambda: len(pair.list_tasks()) == 2)
    assert [task["tags"] for task in pair.sync()] == [[], []]
    assert phone.do("refused") == [[" ", "invalid_fields"], ["Old", "invalid_fields"]]


def test_copies_in_memory_fetch_only_changes(service: Service, folder: Path) -> None:
    user_id = uuid4().hex
    token = issue_token(Settings(better_auth_secret=SECRET), user_id, 3600)
    with Link(service.port) as link:
        command = ["node", str(folder / "collection.js"), link.url, token]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        # Three copies, each made anew after its cursor expired.
        assert link.requests.count("GET /api/tasks/changes") == 6


def test_a_page_shows_reminders_and_the_days_in_advance(service: Service, folder: Path) -> None:
    rows = [[rule, due_date, days.split(", ")] for _, rule, due_date, days in list_rows("recurring-tasks.md", *RULES)]
    token = issue_token(Settings(better_auth_secret=SECRET), uuid4().hex, 3600)
    command = ["node", str(folder / "recurring.js"), f"http://127.0.0.1:{service.port}", token, json.dumps(rows)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows) > 10

"""What each client in Python is tried with: the same steps as in steps.ts."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

BASE_URL = os.environ["API_URL"]
TOKEN = os.environ["API_TOKEN"]
NEXT = re.compile(r'<([^>]*)>; rel="next"')


class Task(NamedTuple):
    """What the steps read of a task."""

    id: int
    title: str
    completed: bool
    due_date: str | None
    etag: str


class Problem(NamedTuple):
    """What the steps read of a refusal."""

    status: int
    code: str
    errors: Mapping[str, Sequence[str]]


class Client(Protocol):
    """The calls that a trial makes with a generated client."""

    def create(self, title: str, due_date: str | None = None, key: str | None = None) -> Task | Problem: ...

    def read(self, task_id: int) -> Task | Problem: ...

    def update(self, task_id: int, title: str, etag: str) -> Task | Problem: ...

    def complete(self, task_id: int) -> Task | Problem: ...

    def delete(self, task_id: int) -> None: ...

    def list_page(self, limit: int, cursor: str | None) -> tuple[list[int], str | None]:
        """Return the IDs of a page of the open tasks, and its Link header."""


class Steps:
    """The steps in their order; each may use the task of the first one."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def create(self) -> None:
        created, repeated = (self.client.create("Buy milk", "2026-12-31", "key of Buy milk") for _ in range(2))
        assert isinstance(created, Task), created
        assert (created.title, created.due_date) == ("Buy milk", "2026-12-31")
        assert repeated == created, "the key was not sent"
        self.task = created

    def read(self) -> None:
        assert self.client.read(self.task.id) == self.task

    def update(self) -> None:
        changed = self.client.update(self.task.id, "Buy oat milk", self.task.etag)
        assert isinstance(changed, Task), changed
        assert changed.title == "Buy oat milk"
        refused = self.client.update(self.task.id, "Buy no milk", self.task.etag)
        assert isinstance(refused, Problem), refused
        assert (refused.status, refused.code) == (412, "precondition_failed")

    def list(self) -> None:
        for title in ("Call Ada", "Call Bob", "Call Eve", "Call Joe"):
            created = self.client.create(title, "2026-12-31T17:00:00+05:00")
            assert isinstance(created, Task), created
            assert created.due_date == "2026-12-31T12:00:00.000000Z"
        pages: list[list[int]] = []
        cursor: str | None = None
        while cursor or not pages:
            page, link = self.client.list_page(2, cursor)
            pages.append(page)
            found = NEXT.search(link or "")
            cursor = parse_qs(urlsplit(found[1]).query)["cursor"][0] if found else None
        assert [len(page) for page in pages] == [2, 2, 1]
        assert len({task_id for page in pages for task_id in page}) == 5

    def finish(self) -> None:
        completed = self.client.complete(self.task.id)
        assert isinstance(completed, Task), completed
        assert completed.completed is True
        self.client.delete(self.task.id)
        missing = self.client.read(self.task.id)
        assert isinstance(missing, Problem), missing
        assert (missing.status, missing.code) == (404, "not_found")

    def invalid(self) -> None:
        refused = self.client.create("Buy milk", "tomorrow")
        assert isinstance(refused, Problem), refused
        assert (refused.status, refused.code, list(refused.errors)) == (422, "invalid_fields", ["due_date"])
        assert len(refused.errors["due_date"]) == 1


def try_step(step: Callable[[], None]) -> str | None:
    """Return the error of a step, or None."""
    try:
        step()
    except Exception as error:  # The table shows whatever a client raises.
        return f"{type(error).__name__}: {error}"
    return None


def run(client: Client) -> None:
    """Run the steps and print a line of JSON: the error of each step, or null."""
    steps = Steps(client)
    names = ("create", "read", "update", "list", "finish", "invalid")
    print(json.dumps({name: try_step(getattr(steps, name)) for name in names}))

"""Devices that copy a user's tasks with the change feed."""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import TestResponse

from tests.support.callers import Caller, read_problem
from todo.database.cursors import CHECKSUM_BYTES
from todo.tasks.schemas import TaskSchema


@dataclass
class Device:
    """A copy of a user's tasks by ID, and the cursor to go on with."""

    caller: Caller
    copy: dict[int, dict[str, Any]] = field(default_factory=dict)
    cursor: str | None = None
    # The changes of the last page, and the number of pages.
    page: list[dict[str, Any]] = field(default_factory=list)
    pages: int = 0

    def get(self, **query: Any) -> TestResponse:
        """Request the next page."""
        given = query | ({"cursor": self.cursor} if self.cursor else {})
        return self.caller.get("/api/tasks/changes", query_string=given)

    def read(self, **query: Any) -> bool:
        """Apply the next page to the copy; return whether there is more."""
        response = self.get(**query)
        assert response.status_code == 200, response.text
        body: Any = response.json
        assert set(body) == {"changes", "cursor", "more"}
        assert len(body["changes"]) <= query.get("limit", 1000)
        assert body["changes"] or not body["more"]
        for change in body["changes"]:
            apply(self.copy, change)
        self.cursor, self.page = body["cursor"], body["changes"]
        self.pages += 1
        assert self.pages < 1000, "the pages do not end"
        return bool(body["more"])

    def sync(self, **query: Any) -> list[dict[str, Any]]:
        """Read all pages, and return their changes."""
        changes, more = [], True
        while more:
            more = self.read(**query)
            changes += self.page
        return changes

    def expect_expiry(self) -> None:
        """Check that the cursor has expired, and begin a new copy."""
        assert read_problem(self.get(), 410)["code"] == "cursor_expired"
        self.copy, self.cursor = {}, None


def apply(copy: dict[int, dict[str, Any]], change: dict[str, Any]) -> None:
    """Apply a change to a copy."""
    if change["deleted"]:
        assert set(change) == {"id", "uid", "deleted"}
        copy.pop(change["id"], None)
        return
    task = {name: value for name, value in change.items() if name != "deleted"}
    assert not TaskSchema().validate(task)
    copy[task["id"]] = task


def read_place(cursor: str) -> list[Any]:
    """Return the content of a cursor: the epoch, the number at its beginning, and the number and ID of its place."""
    place: list[Any] = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[CHECKSUM_BYTES:])
    return place

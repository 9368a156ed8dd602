"""Read the pages of a list and the links between them, and the pages of the change feed."""

import re
from typing import Any

from werkzeug.test import TestResponse

from tests.support.callers import Caller, read_tasks
from tests.support.databases import Database


def read_next(response: TestResponse) -> str | None:
    """Return the URL of the next page (RFC 8288), or None."""
    link = response.headers.get("Link")
    if link is None:
        return None
    found = re.fullmatch(r'<(https?://[^>]+)>; rel="next"', link)
    assert found
    return found[1]


def walk(caller: Caller, url: str | None) -> list[list[str]]:
    """Return the titles on each page, from the page at the URL to the last."""
    pages: list[list[str]] = []
    while url is not None:
        assert len(pages) < 20, "the pages do not end"
        response = caller.get(url)
        pages.append([task["title"] for task in read_tasks(response)])
        url = read_next(response)
    return pages


def read_changes(caller: Caller, cursor: str | None = None, limit: int = 1000) -> tuple[list[dict[str, Any]], str]:
    """Return all changes after a cursor, and the last cursor."""
    changes: list[dict[str, Any]] = []
    for _ in range(50):
        query = {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}
        response = caller.get("/api/tasks/changes", query_string=query)
        assert response.status_code == 200, response.text
        page: Any = response.json
        changes, cursor = [*changes, *page["changes"]], page["cursor"]
        if not page["more"]:
            return changes, str(cursor)
    raise AssertionError("the pages do not end")


def add_large_tasks(database: Database, user_id: str, number: int) -> None:
    """Store tasks of 6 kB each with numbers as titles."""
    database.run(
        "INSERT INTO todo.tasks (user_id, title, description, tags, tags_folded, due_at)"
        " SELECT %s, number::text, repeat('字', 1000), tags, tags, now() + number %% 7 * interval '1 day'"
        " FROM generate_series(1, %s) AS number,"
        " (SELECT array_agg(tag || repeat('字', 48)) AS tags FROM generate_series(10, 29) AS tag) AS made",
        (user_id, number),
    )

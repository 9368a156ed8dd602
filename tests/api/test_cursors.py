"""Cursors: positions in one list. A client can alter or forge them, and they grant no access."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from werkzeug.test import TestResponse

from tests.support.callers import Caller, read_problem
from tests.support.pages import read_next, walk
from todo.tasks.listing import SORTS


def take_cursor(response: TestResponse) -> str:
    return dict(parse_qsl(urlsplit(str(read_next(response))).query))["cursor"]


def test_an_altered_cursor_is_400(alice: Caller, fill: None) -> None:
    cursor = take_cursor(alice.get("/api/tasks?limit=2&sort=updated"))
    for place in range(len(cursor)):
        for other in ("A", "B", "-", "", "="):
            altered = cursor[:place] + other + cursor[place + 1 :]
            if altered != cursor:
                read_problem(alice.get("/api/tasks", query_string={"sort": "updated", "cursor": altered}), 400)
    for odd in (" ", cursor + "=", cursor + "A", cursor + "!", "é", "\x00", "null", "[]", "9" * 5000):
        read_problem(alice.get("/api/tasks", query_string={"sort": "updated", "cursor": odd}), 400)


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "updated"},
        {"sort": "title", "order": "desc"},
        {"sort": "title", "status": "pending"},
        {"sort": "title", "search": "x"},
        {"sort": "title", "tag": "a"},
        {"sort": "title", "due_before": "2026-12-31"},
        {},
    ],
)
def test_a_cursor_of_another_list_is_400(alice: Caller, fill: None, query: dict[str, str]) -> None:
    cursor = take_cursor(alice.get("/api/tasks?limit=2&sort=title"))
    assert alice.get("/api/tasks", query_string={"sort": "title", "order": "asc", "cursor": cursor}).status_code == 200
    problem = read_problem(alice.get("/api/tasks", query_string={**query, "cursor": cursor}), 400)
    assert "cursor" in problem["detail"]


def forge(place: Any, sort: str, table: str = "todo.tasks") -> str:
    """Forge a cursor: the checksum has no secret, so any client can compute it."""
    text, scope = orjson.dumps(place), orjson.dumps([table, sort, SORTS[sort].order, {}, []])
    checksum = hashlib.sha256(scope + b"\n" + text).digest()[:9]
    return base64.urlsafe_b64encode(checksum + text).decode().rstrip("=")


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    2**64 - 1,
    "",
    "x",
    "\0",
    [],
    {},
    [1],
    "2026-12-31",
    "9999-12-31T23:59:59-05:00",
]
ODD += ["20261231T000000Z", "2026-12-31T00:00:00+16:00", "2026-12-31T00:00:00+05:00:30.123456"]
GOOD: dict[str, list[Any]] = {
    "created": ["2026-12-31T00:00:00Z"],
    "updated": ["2026-12-31T00:00:00Z"],
    "title": ["x"],
    "due_date": ["2026-12-31T00:00:00Z", True],
    "priority": [2],
}


@pytest.mark.parametrize("sort", SORTS)
def test_a_forged_cursor_is_a_position_or_400(alice: Caller, bob: Caller, fill: None, sort: str) -> None:
    def ask(place: Any) -> int:
        return bob.get("/api/tasks", query_string={"sort": sort, "cursor": forge(place, sort)}).status_code

    assert ask([*GOOD[sort], 1]) == 200
    places: list[Any] = [*ODD, [], [*GOOD[sort]], [*GOOD[sort], 1, 1], [1, *GOOD[sort]]]
    places += [[*GOOD[sort], odd] for odd in ODD]
    for number in range(len(GOOD[sort])):
        places += [[*GOOD[sort][:number], odd, *GOOD[sort][number + 1 :], 1] for odd in ODD]
    for place in places:
        assert ask(place) in {200, 400}, place
    assert ask(None) == ask([]) == ask([None]) == 400


def test_a_cursor_grants_no_access(alice: Caller, bob: Caller, fill: None) -> None:
    bob.add("his")
    url = str(read_next(alice.get("/api/tasks?limit=1&sort=title")))
    assert walk(bob, url) == [["his"]]


def test_a_cursor_of_another_resource_is_400(alice: Caller, fill: None) -> None:
    for table, status in (("todo.tasks", 200), ("todo.notes", 400)):
        response = alice.get("/api/tasks", query_string={"cursor": forge([*GOOD["created"], 1], "created", table)})
        assert response.status_code == status

"""Pages of a list: each links to the next in every order, and deep pages cost no more than the first."""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from tests.support.callers import Caller, read_task, read_tasks
from tests.support.databases import Database, closing_pool
from tests.support.pages import add_large_tasks, read_next, walk
from todo import create_app
from todo.tasks.listing import SORTS


def test_a_page_has_limit_tasks_and_links_to_the_next(alice: Caller, fill: None) -> None:
    assert walk(alice, "/api/tasks?limit=2") == [["4", "3"], ["2", "1"], ["0"]]
    assert walk(alice, "/api/tasks?limit=5") == [["4", "3", "2", "1", "0"]]
    assert walk(alice, "/api/tasks") == [["4", "3", "2", "1", "0"]]
    assert walk(alice, "/api/tasks?limit=2&search=nothing") == [[]]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_together_equal_the_list_in_every_order(
    alice: Caller, fill: None, sort: str, order: str, limit: int
) -> None:
    query = f"/api/tasks?sort={sort}&order={order}"
    pages = walk(alice, f"{query}&limit={limit}")
    assert [title for page in pages for title in page] == walk(alice, query)[0]
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_the_next_link_keeps_the_path_and_all_parameters(alice: Caller, fill: None) -> None:
    for path in ("/api/tasks", "/api/tasks/", f"/api/{alice.user_id}/tasks"):
        url = read_next(
            alice.get(f"{path}?limit=3&tag=a%26b&tag=%C3%BC&status=all", base_url="http://api.example:8080")
        )
        assert url is None
    alice.add("tagged", tags=["a&b", "ü"])
    alice.add("tagged", tags=["a&b", "ü"])
    for path in ("/api/tasks", f"/api/{alice.user_id}/tasks"):
        url = read_next(alice.get(f"{path}?limit=1&tag=a%26b&tag=%C3%BC", base_url="http://api.example:8080"))
        assert url is not None
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc, parts.path) == ("http", "api.example:8080", path)
        query = parse_qsl(parts.query)
        assert query[:-1] == [("limit", "1"), ("tag", "a&b"), ("tag", "ü")]
        assert query[-1][0] == "cursor"


def test_the_next_link_uses_the_host_of_the_proxy(alice: Caller, fill: None) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.com"}
    url = read_next(alice.get("/api/tasks?limit=1", headers=headers))
    assert str(url).startswith("https://api.example.com/api/tasks?limit=1&cursor=")
    url = read_next(alice.get("/api/tasks?limit=1", headers={**headers, "X-Forwarded-Prefix": "/todo"}))
    assert str(url).startswith("https://api.example.com/todo/api/tasks?limit=1&cursor=")


@pytest.mark.parametrize("host", ["a.example>; rel=x", 'a"b', "a b", "<script>", "a/b", "a\\b", "ü"])
def test_an_invalid_host_is_not_used_in_the_link(alice: Caller, fill: None, host: str) -> None:
    response = alice.get("/api/tasks?limit=1", headers={"X-Forwarded-Host": host.encode().decode("latin-1")})
    assert response.status_code in {200, 400}
    assert host not in response.headers.get("Link", "")


def test_the_next_link_encodes_any_user_id(make_caller: Any) -> None:
    caller = make_caller("auth0|ü ber/ünter?#")
    caller.add()
    caller.add()
    url = read_next(caller.get("/api/auth0|ü ber/ünter%3F%23/tasks?limit=1"))
    assert url is not None
    assert url.isascii()
    assert len(read_tasks(caller.get(url))) == 1


@pytest.mark.parametrize("user_id", ["a%41b", "a%2Fb", "%25", "a+b", "a/b", "ü", "a b"])
def test_the_next_link_works_for_any_user_id(make_caller: Any, user_id: str) -> None:
    caller = make_caller(user_id)
    caller.add()
    caller.add()
    url = read_next(caller.get(f"/api/{quote(user_id)}/tasks?limit=1"))
    assert len(read_tasks(caller.get(url))) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Proto": "http://["},
        {"X-Forwarded-Proto": "javascript"},
        {"X-Forwarded-Prefix": "todo"},
        {"X-Forwarded-Prefix": "//evil.example"},
        {"X-Forwarded-Prefix": "/a b"},
        {"X-Forwarded-Host": "x:99999"},
        {"X-Forwarded-Host": "user@x"},
        {"Host": ""},
    ],
)
def test_invalid_proxy_headers_are_not_used_in_the_link(alice: Caller, fill: None, headers: dict[str, str]) -> None:
    link = alice.get("/api/tasks?limit=1", headers=headers).headers["Link"]
    assert re.match(r"<(http://localhost)?/api/tasks\?limit=1&cursor=", link), link
    location = alice.post("/api/tasks", json={"title": "x"}, headers=headers).headers["Location"]
    assert re.match(r"(http://localhost)?/api/tasks/", location), location


def test_tasks_written_by_an_older_release_are_listed_once(alice: Caller, database: Database) -> None:
    """An older release does not fold titles. Until a write, such a task sorts by PostgreSQL's lower()."""
    for title in ("äpfel", "Übung", "zebra", "Ö"):
        alice.add(title)
    database.run("UPDATE todo.tasks SET title = 'ÄRGER' WHERE user_id = %s AND title = 'Übung'", (alice.user_id,))
    for order in ("asc", "desc"):
        pages = walk(alice, f"/api/tasks?sort=title&order={order}&limit=1")
        assert sorted(title for page in pages for title in page) == sorted(["äpfel", "ÄRGER", "zebra", "Ö"])


def test_the_limit_may_change_between_pages(alice: Caller, fill: None) -> None:
    url = read_next(alice.get("/api/tasks?limit=1"))
    assert walk(alice, str(url).replace("limit=1", "limit=1000")) == [["3", "2", "1", "0"]]


def test_concurrent_changes_neither_repeat_nor_skip_tasks(alice: Caller, fill: None) -> None:
    first = alice.get("/api/tasks?limit=2&sort=title")
    assert [task["title"] for task in read_tasks(first)] == ["0", "1"]
    for task in read_tasks(first):
        alice.delete(f"/api/tasks/{task['id']}")
    alice.add("00")
    alice.add("22")
    assert walk(alice, read_next(first)) == [["2", "22"], ["3", "4"]]


def test_a_task_that_loses_its_due_date_moves_to_the_end(alice: Caller, fill: None) -> None:
    first = alice.get("/api/tasks?limit=1&sort=due_date")
    assert [task["title"] for task in read_tasks(first)] == ["3"]
    [other] = [task for task in read_tasks(alice.get("/api/tasks")) if task["title"] == "1"]
    read_task(alice.patch(f"/api/tasks/{other['id']}", json={"due_date": None}))
    assert walk(alice, read_next(first)) == [["0"], ["1"], ["2"], ["4"]]


@pytest.mark.parametrize("query", ["", "&sort=title", "&sort=due_date&order=desc", "&search=字", "&limit=200"])
def test_a_page_of_large_tasks_ends_early(alice: Caller, database: Database, query: str) -> None:
    add_large_tasks(database, alice.user_id, 300)
    url: str | None = f"/api/tasks?{query[1:]}"
    titles: list[str] = []
    while url:
        response = alice.get(url)
        assert len(response.data) < 1_200_000
        titles += [task["title"] for task in read_tasks(response)]
        url = read_next(response)
    assert len(titles) == 300
    assert sorted(titles, key=int) == [str(number) for number in range(1, 301)]


def test_a_counted_page_of_large_tasks_ends_early(database: Database) -> None:
    settings = database.settings(list_format="object")
    with closing_pool(create_app(settings)) as app:
        alice = Caller(app.test_client(), settings)
        add_large_tasks(database, alice.user_id, 300)
        first: Any = alice.get("/api/tasks")
        second: Any = alice.get(str(read_next(first)))
    assert (first.json["total"], second.json["total"]) == (300, 300)
    assert len({task["id"] for task in first.json["tasks"] + second.json["tasks"]}) == 300
    assert read_next(second) is None


def test_a_page_of_small_tasks_has_as_many_as_asked(alice: Caller, database: Database) -> None:
    database.run(
        "INSERT INTO todo.tasks (user_id, title) SELECT %s, repeat('x', 200) FROM generate_series(1, 1001)",
        (alice.user_id,),
    )
    first = alice.get("/api/tasks")
    assert len(read_tasks(first)) == 1000
    assert len(read_tasks(alice.get(str(read_next(first))))) == 1

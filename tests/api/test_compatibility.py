"""Frontends written for other services: alternative parameter names and response formats."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from tests.support.callers import Caller, read_problem, read_task, read_tasks
from tests.support.databases import Database, closing_pool
from tests.support.wire import Wire
from todo import create_app
from todo.tasks.schemas import CountedTasksSchema, DeletionSchema


@pytest.fixture(scope="module")
def other_app(database: Database) -> Iterator[Flask]:
    """The application with LIST_FORMAT and DELETE_FORMAT set."""
    with closing_pool(create_app(database.settings(list_format="object", delete_format="json"))) as app:
        yield app


@pytest.fixture
def carol(other_app: Flask, database: Database) -> Caller:
    return Caller(other_app.test_client(), database.settings())


def count(caller: Caller, query: str = "") -> tuple[list[str], int]:
    """Return the titles and the total of a list object."""
    response = caller.get(f"/api/tasks{query}")
    assert response.status_code == 200, response.text
    answer: Any = response.json
    assert not CountedTasksSchema().validate(answer)
    return [task["title"] for task in answer["tasks"]], answer["total"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("sort_by=title", "sort=title"),
        ("sort_by=created_at&sort_order=asc", "sort=created&order=asc"),
        ("sort=updated_at&order=asc", "sort=updated&order=asc"),
        ("q=SECOND", "search=second"),
        ("status=active", "status=pending"),
        ("status=incomplete&offset=0", "status=pending"),
        ("filter=Completed&skip=0&page=1&offset=0", "status=completed"),
        ("completed=True", "completed=true"),
        ("completed=FALSE&page=1", "completed=false"),
        ("tag[]=Home&tag[]=b", "tag=home&tag=b"),
        ("per_page=1", "limit=1"),
        ("page_size=1", "limit=1"),
        ("sort=created_asc", "sort=created&order=asc"),
        ("sort=-Title", "sort=title&order=desc"),
        ("sort_by=TITLE_ASC&sort_order=ASC", "sort=title"),
        ("sort=-updated_at&limit=1", "sort=updated&limit=1"),
        ("sort=updated_desc&limit=1", "sort=updated&limit=1"),
        ("sort=created_oldest", "sort=created&order=asc"),
        ("sort=updated_newest&limit=2", "sort=updated&limit=2"),
        ("sort=created_at_asc", "sort=created&order=asc"),
        ("priority=HIGH", "priority=high"),
    ],
)
def test_alternative_names_mean_the_same(alice: Caller, other: str, same: str) -> None:
    first = alice.add("first", completed=True, tags=["b", "home"], priority="high")
    for title in ("third", "second"):
        alice.add(title)
    alice.patch(f"/api/tasks/{first['id']}", json={"description": "changed last"})
    found = read_tasks(alice.get(f"/api/tasks?{same}"))
    assert found
    assert found != read_tasks(alice.get("/api/tasks"))
    assert read_tasks(alice.get(f"/api/tasks?{other}")) == found


def test_page_links_work_with_either_name(alice: Caller) -> None:
    for number in range(3):
        alice.add(str(number))
    response = alice.get("/api/tasks?sort_by=created_at&sort_order=asc&limit=2")
    [link] = response.headers.getlist("Link")
    following = link.removeprefix("<http://localhost").removesuffix('>; rel="next"')
    assert [task["title"] for task in read_tasks(alice.get(following))] == ["2"]
    assert read_tasks(alice.get(following.replace("sort_by=created_at", "sort=created")))


def test_both_names_of_one_parameter_are_refused(alice: Caller) -> None:
    problem = read_problem(alice.get("/api/tasks?sort=title&sort_by=created_at"), 422, "sort", "sort_by")
    assert problem["errors"]["sort_by"] == ["Given 2 times (as sort and sort_by); once is allowed."]


@pytest.mark.parametrize("offset", ["1", "50", "-1", "00", "x"])
def test_other_offsets_are_refused_with_a_hint_at_cursors(alice: Caller, offset: str) -> None:
    problem = read_problem(alice.get(f"/api/tasks?offset={offset}"), 422, "offset")
    assert "cursor" in problem["detail"]


COMPLETIONS = [("POST", "complete"), ("PUT", "complete"), ("PATCH", "status")]
COMPLETIONS += [(method, "toggle") for method in ("POST", "PUT", "PATCH")]


def test_toggle_is_an_alias_of_complete(alice: Caller, bob: Caller) -> None:
    path = f"/api/tasks/{alice.add()['id']}/toggle"
    assert read_task(alice.patch(path))["completed"]
    assert not read_task(alice.patch(path))["completed"]
    assert read_task(alice.patch(path, json={"completed": True}))["completed"]
    read_problem(alice.patch(path, headers={"If-Match": '"1"'}), 412)
    read_problem(bob.patch(path), 404)


@pytest.mark.parametrize(("method", "end"), COMPLETIONS)
def test_other_paths_and_methods_complete_a_task(alice: Caller, bob: Caller, method: str, end: str) -> None:
    task = alice.add()
    path = f"/api/tasks/{task['id']}/{end}"
    assert read_task(alice.call(method, path))["completed"]
    assert not read_task(alice.call(method, path, json={}))["completed"]
    for completed in (True, True, False):
        assert read_task(alice.call(method, path, json={"completed": completed}))["completed"] is completed
    read_problem(alice.call(method, path, json={"done": True}), 422, "completed")
    read_problem(alice.call(method, path, headers={"If-Match": task["etag"]}), 412)
    read_problem(bob.call(method, path), 404)
    for query in ("completed=true", "completed="):
        read_problem(alice.call(method, f"{path}?{query}"), 422, "completed")


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_a_change_can_have_the_new_state_in_the_query(alice: Caller, bob: Caller, value: str) -> None:
    task = alice.add()
    path = f"/api/tasks/{task['id']}?completed="
    for _ in range(2):
        assert read_task(alice.patch(path + value))["completed"]
    read_problem(bob.patch(path + value), 404)
    read_problem(alice.patch(path + "false", headers={"If-Match": task["etag"]}), 412)
    assert not read_task(alice.patch(path + "false"))["completed"]
    read_problem(alice.patch(path + "1"), 422, "completed")
    read_problem(alice.patch(path), 422, "completed")
    read_problem(alice.patch(path + "true", json={"completed": True}), 422, "completed")
    read_problem(alice.put(path + "true"), 422, "completed")


def test_list_format_adds_the_total_of_matching_tasks(carol: Caller) -> None:
    assert count(carol) == ([], 0)
    for number in range(5):
        carol.add(f"task {number}", completed=number % 2 == 0, tags=["even"] if number % 2 == 0 else [])
    assert count(carol) == ([f"task {number}" for number in (4, 3, 2, 1, 0)], 5)
    assert count(carol, "?status=pending") == (["task 3", "task 1"], 2)
    assert count(carol, "?tag=even&search=task 4") == (["task 4"], 1)
    assert count(carol, "?search=nothing") == ([], 0)


def test_the_total_counts_only_the_users_tasks(carol: Caller, other_app: Flask, database: Database) -> None:
    carol.add()
    assert count(Caller(other_app.test_client(), database.settings())) == ([], 0)


@pytest.mark.parametrize("sort", ["created", "updated", "title", "due_date", "priority"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_total_counts_all_pages(carol: Caller, alice: Caller, sort: str, order: str) -> None:
    for caller in (carol, alice):
        for number in (3, 1, 4, 2, 5):
            due_date = None if number == 3 else f"2026-12-0{number}"
            caller.add(str(number), due_date=due_date, priority=["low", "high", None][number % 3])
    expected = [task["title"] for task in read_tasks(alice.get(f"/api/tasks?sort={sort}&order={order}"))]
    titles, path = [], f"/api/tasks?sort={sort}&order={order}&limit=2"
    for size in (2, 2, 1):
        response = carol.get(path)
        answer: Any = response.json
        assert (len(answer["tasks"]), answer["total"]) == (size, 5)
        titles += [task["title"] for task in answer["tasks"]]
        path = response.headers.get("Link", "").removeprefix("<http://localhost").removesuffix('>; rel="next"')
    assert titles == expected
    assert path == ""


def test_an_empty_page_has_the_total(carol: Caller) -> None:
    tasks = [carol.add(str(number)) for number in range(3)]
    link = carol.get("/api/tasks?limit=2").headers["Link"]
    carol.delete(f"/api/tasks/{tasks[0]['id']}")
    following = link.removeprefix("<http://localhost").removesuffix('>; rel="next"')
    assert count(carol, following.removeprefix("/api/tasks")) == ([], 2)


def test_the_total_takes_no_extra_round_trip(database: Database) -> None:
    with Wire(database.server.superuser_url) as wire:
        settings = replace(wire.settings(database), list_format="object")
        with closing_pool(create_app(settings)) as app:
            caller = Caller(app.test_client(), settings)
            caller.add()
            wire.messages.clear()
            assert count(caller, "?search=milk&sort=due_date&limit=1") == (["Buy milk"], 1)
            assert [kind for kind, _ in wire.messages] == ["Q"]


def test_delete_format_returns_a_body(carol: Caller) -> None:
    task = carol.add()
    response = carol.delete(f"/api/tasks/{task['id']}")
    assert response.status_code == 200
    answer: Any = response.json
    assert not DeletionSchema().validate(answer)
    assert answer["id"] == task["id"]
    read_problem(carol.delete(f"/api/tasks/{task['id']}"), 404)


def test_the_openapi_document_describes_these_formats(app: Flask, other_app: Flask) -> None:
    def answers(served: Flask, path: str, method: str) -> Any:
        document: Any = served.test_client().get("/api/openapi.json").json
        return document["paths"][path][method]["responses"]

    assert "204" in answers(app, "/api/tasks/{task_id}", "delete")
    assert "204" not in answers(other_app, "/api/tasks/{task_id}", "delete")
    shown = [answers(served, "/api/tasks", "get")["200"]["content"]["application/json"] for served in (app, other_app)]
    assert isinstance(shown[0]["example"], list)
    assert shown[1]["schema"] == {"$ref": "#/components/schemas/CountedTasks"}

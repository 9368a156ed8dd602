"""If-Match and If-None-Match on writes: a write succeeds only in a version that the client names."""

from typing import Any, NamedTuple

import pytest

from tests.support.callers import Caller, read_problem, read_task

WRITES: list[tuple[str, str, Any]] = [
    ("PUT", "", {"title": "new"}),
    ("PATCH", "", {"title": "new"}),
    ("PATCH", "/complete", None),
    ("PATCH", "/complete", {"completed": True}),
    ("DELETE", "", None),
]
# The task of the tests is like that already.
DONE: list[tuple[str, str, Any]] = [
    ("PUT", "", {"title": " old "}),
    ("PATCH", "", {"title": "old", "tags": None, "completed": False}),
    ("PATCH", "", {}),
    ("PATCH", "/complete", {"completed": False}),
]
writes = pytest.mark.parametrize(("method", "end", "body"), WRITES)
all_changes = pytest.mark.parametrize(("method", "end", "body"), [*WRITES, *DONE])


class Known(NamedTuple):
    """A task at version 2."""

    path: str
    number: int

    def fill(self, tags: str) -> str:
        """Replace the # of a header with the ID of the task."""
        return tags.replace("#", str(self.number))


@pytest.fixture
def task(alice: Caller) -> Known:
    number = alice.add("older")["id"]
    path = f"/api/tasks/{number}"
    assert read_task(alice.patch(path, json={"title": "old"}))["etag"] == f'"{number}.2"'
    return Known(path, number)


@pytest.mark.parametrize(
    "tags",
    [
        '"#.2"',
        'W/"#.2"',
        '"#.1", "#.2"',
        '"x", W/"#.2" , "9"',
        "*",
        '"#.2-gzip"',
        'W/"#.2-br"',
        '"#.2--gzip"',
        '"#.2;br"',
    ],
)
@all_changes
def test_a_matching_version_allows_the_write(
    alice: Caller, task: Known, method: str, end: str, body: Any, tags: str
) -> None:
    response = alice.call(method, task.path + end, json=body, headers={"If-Match": task.fill(tags)})
    assert response.status_code == (204 if method == "DELETE" else 200)


OTHERS = (
    *('"#.1"', 'W/"#.1"', '"#.3"', '"#.02"', '"#.2.0"', '"#.-2"', '"x"', '"#.1", "#.3"', '"#.²"', f'"#.{2**64}"'),
    *('"2"', '"#"', '"0#.2"', '"#.2-"', '"#.2-1"', '"#.1-gzip"', "", '""', 'W/"", "#.3"', '"1.2"', f'"{2**62}.2"'),
)


@pytest.mark.parametrize("tags", OTHERS)
@writes
def test_any_other_version_is_412_and_writes_nothing(
    alice: Caller, task: Known, method: str, end: str, body: Any, tags: str
) -> None:
    before = alice.get(task.path)
    headers = {"If-Match": task.fill(tags)}
    problem = read_problem(alice.call(method, task.path + end, json=body, headers=headers), 412)
    assert "has changed" in problem["detail"]
    after = alice.get(task.path)
    assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])


@pytest.mark.parametrize("tags", ['"#.1"', '"x"', '"2"'])
@pytest.mark.parametrize(("method", "end", "body"), DONE)
def test_a_change_that_is_already_so_needs_no_version(
    alice: Caller, task: Known, method: str, end: str, body: Any, tags: str
) -> None:
    before = alice.get(task.path).json
    response = alice.call(method, task.path + end, json=body, headers={"If-Match": task.fill(tags)})
    assert read_task(response) == before


@writes
def test_the_tag_of_another_task_never_matches(alice: Caller, method: str, end: str, body: Any) -> None:
    first, second = alice.add("first"), alice.add("second")
    response = alice.call(method, f"/api/tasks/{first['id']}{end}", json=body, headers={"If-Match": second["etag"]})
    read_problem(response, 412)
    assert alice.titles() == ["second", "first"]


@pytest.mark.parametrize("tags", ["*", '"#.2"', 'W/"#.2"', '"x", "#.2"', '"#.2-gzip"'])
@all_changes
def test_a_version_that_if_none_match_excludes_is_412(
    alice: Caller, task: Known, method: str, end: str, body: Any, tags: str
) -> None:
    before = alice.get(task.path).json
    headers = {"If-None-Match": task.fill(tags)}
    problem = read_problem(alice.call(method, task.path + end, json=body, headers=headers), 412)
    assert "If-None-Match" in problem["detail"]
    headers["If-Match"] = f'"{task.number}.2"'
    read_problem(alice.call(method, task.path + end, json=body, headers=headers), 412)
    assert alice.get(task.path).json == before


@pytest.mark.parametrize("tags", ['"#.1"', '"2"', '"1.2"', "", '"#.1-gzip"'])
@all_changes
def test_another_version_in_if_none_match_allows_the_write(
    alice: Caller, task: Known, method: str, end: str, body: Any, tags: str
) -> None:
    response = alice.call(method, task.path + end, json=body, headers={"If-None-Match": task.fill(tags)})
    assert response.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("tags", ['"#.2"', "*", '"x"'])
@all_changes
def test_a_missing_or_foreign_task_is_404_with_any_version(
    alice: Caller, bob: Caller, task: Known, method: str, end: str, body: Any, tags: str, header: str
) -> None:
    headers = {header: task.fill(tags)}
    foreign = read_problem(bob.call(method, task.path + end, json=body, headers=headers), 404)
    missing = read_problem(alice.call(method, f"/api/tasks/{2**60}{end}", json=body, headers=headers), 404)
    assert foreign == missing


def test_every_response_has_the_tag_of_the_task(alice: Caller) -> None:
    alice.add()
    task = alice.add()
    path = f"/api/tasks/{task['id']}"
    for _ in range(2):
        for response in (alice.patch(path, json={"title": str(_)}), alice.patch(f"{path}/complete"), alice.get(path)):
            assert read_task(response)["etag"] == response.headers["ETag"]
    [listed, other] = alice.get("/api/tasks").json  # type: ignore[misc]
    assert listed == alice.get(path).json
    assert other["etag"] != listed["etag"]


def test_a_tag_in_a_body_is_ignored(alice: Caller) -> None:
    task = alice.add()
    response = alice.patch(f"/api/tasks/{task['id']}", json={"etag": '"1.1"', "title": "new"})
    assert read_task(response)["title"] == "new"

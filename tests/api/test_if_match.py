"""If-Match: a write succeeds only if the client knows the current version."""

from typing import Any

import pytest

from tests.support.callers import Caller, read_problem

WRITES: list[tuple[str, str, Any]] = [
    ("PUT", "", {"title": "new"}),
    ("PATCH", "", {"title": "new"}),
    ("PATCH", "", {"title": "old"}),
    ("PATCH", "", {}),
    ("PATCH", "/complete", None),
    ("PATCH", "/complete", {"completed": True}),
    ("DELETE", "", None),
]
pytestmark = pytest.mark.parametrize(("method", "end", "body"), WRITES)


@pytest.fixture
def path(alice: Caller) -> str:
    """A task at version 2."""
    path = f"/api/tasks/{alice.add('older')['id']}"
    assert alice.patch(path, json={"title": "old"}).headers["ETag"] == '"2"'
    return path


@pytest.mark.parametrize("tags", ['"2"', 'W/"2"', '"1", "2"', '"x", W/"2" , "9"', "*"])
def test_a_matching_version_allows_the_write(
    alice: Caller, path: str, method: str, end: str, body: Any, tags: str
) -> None:
    response = alice.call(method, path + end, json=body, headers={"If-Match": tags})
    assert response.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize(
    "tags",
    ['"1"', 'W/"1"', '"3"', '"02"', '"2.0"', '"-2"', '"x"', '"1", "3"', '"²"', f'"{2**64}"', "", '""', 'W/"", "3"'],
)
def test_any_other_version_is_412_and_writes_nothing(
    alice: Caller, path: str, method: str, end: str, body: Any, tags: str
) -> None:
    before = alice.get(path)
    problem = read_problem(alice.call(method, path + end, json=body, headers={"If-Match": tags}), 412)
    assert "has changed" in problem["detail"]
    after = alice.get(path)
    assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])


@pytest.mark.parametrize("tags", ['"1"', "*", '"x"'])
def test_a_missing_or_foreign_task_is_404_with_any_version(
    alice: Caller, bob: Caller, path: str, method: str, end: str, body: Any, tags: str
) -> None:
    headers = {"If-Match": tags}
    foreign = read_problem(bob.call(method, path + end, json=body, headers=headers), 404)
    missing = read_problem(alice.call(method, f"/api/tasks/{2**60}{end}", json=body, headers=headers), 404)
    assert foreign == missing

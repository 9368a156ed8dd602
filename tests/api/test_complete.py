"""PATCH /api/tasks/{id}/complete"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from config import Settings
from tests.support.callers import Caller, read_problem, read_task


@pytest.fixture
def path(alice: Caller) -> str:
    return f"/api/tasks/{alice.add()['id']}/complete"


def test_complete_without_a_body_toggles(alice: Caller, path: str) -> None:
    done = read_task(alice.patch(path))
    assert done["completed"] is True
    assert done["completed_at"] == done["updated_at"]
    reopened = read_task(alice.patch(path))
    assert (reopened["completed"], reopened["completed_at"]) == (False, None)


@pytest.mark.parametrize(
    "options",
    [{"json": {}}, {"content_type": "application/json"}, {"data": "null"}, {"data": '""'}, {"data": b"\xef\xbb\xbf"}],
)
def test_complete_with_an_empty_body_toggles(alice: Caller, path: str, options: dict[str, object]) -> None:
    options = {"content_type": "application/json", **options}
    assert read_task(alice.patch(path, **options))["completed"] is True


@pytest.mark.parametrize("body", [{"done": True}, {"is_completed": True}, {"id": 5, "title": "x"}, {"Completed": True}])
def test_complete_with_other_fields_never_toggles(alice: Caller, path: str, body: dict[str, object]) -> None:
    problem = read_problem(alice.patch(path, json=body), 422, "completed")
    assert problem["errors"]["completed"] == ["Required: true or false."]


@pytest.mark.parametrize("data", ["[]", "0", "false", '"x"', "[null]"])
def test_complete_with_other_json_is_400(alice: Caller, path: str, data: str) -> None:
    read_problem(alice.patch(path, data=data, content_type="application/json"), 400)


def test_complete_with_a_value_sets_it_and_can_be_retried(alice: Caller, path: str) -> None:
    first, again = (alice.patch(path, json={"completed": True}) for _ in range(2))
    assert read_task(first)["completed"] is True
    assert first.json == again.json
    assert first.headers["ETag"] == again.headers["ETag"]
    assert read_task(alice.patch(path, json={"completed": False}))["completed"] is False


@pytest.mark.parametrize("completed", [1, "true", None, [], {}])
def test_completed_must_be_a_boolean(alice: Caller, path: str, completed: object) -> None:
    read_problem(alice.patch(path, json={"completed": completed}), 422, "completed")


def test_concurrent_toggles_all_count(app: Flask, settings: Settings) -> None:
    callers = [Caller(app.test_client(), settings, "many-clicks") for _ in range(8)]
    task = callers[0].add()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda caller: caller.patch(f"/api/tasks/{task['id']}/complete"), callers))
    assert [read_task(answer)["completed"] for answer in answers].count(True) == 4
    assert len({answer.headers["ETag"] for answer in answers}) == 8
    assert read_task(callers[0].get(f"/api/tasks/{task['id']}"))["completed"] is False


def test_another_users_task_is_404(bob: Caller, path: str) -> None:
    read_problem(bob.patch(path), 404)
    read_problem(bob.patch(path, json={"completed": True}), 404)

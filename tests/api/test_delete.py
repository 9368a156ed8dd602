"""DELETE /api/tasks/{id}"""

from tests.support.callers import Caller, read_problem, read_task


def test_delete_removes_the_task_and_returns_no_body(alice: Caller) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    response = alice.delete(path)
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    read_problem(alice.get(path), 404)
    assert alice.titles() == []


def test_a_second_delete_is_404(alice: Caller) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    alice.delete(path)
    read_problem(alice.delete(path), 404)


def test_delete_ignores_its_body(alice: Caller) -> None:
    for options in ({"content_type": "application/json"}, {"data": "not json", "content_type": "text/plain"}):
        assert alice.delete(f"/api/tasks/{alice.add()['id']}", **options).status_code == 204


def test_ids_are_never_reused(alice: Caller) -> None:
    first = alice.add()["id"]
    alice.delete(f"/api/tasks/{first}")
    assert alice.add()["id"] > first


def test_another_users_task_is_404_and_stays(alice: Caller, bob: Caller) -> None:
    task = alice.add()
    read_problem(bob.delete(f"/api/tasks/{task['id']}"), 404)
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task

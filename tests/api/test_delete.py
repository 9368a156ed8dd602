"""DELETE /api/tasks/{id}"""

from tests.support.callers import Caller, read_problem, read_task


def test_a_deleted_task_is_gone_and_the_answer_is_empty(alice: Caller) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    response = alice.delete(path)
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    read_problem(alice.get(path), 404)
    assert alice.titles() == []


def test_the_second_time_it_is_404(alice: Caller) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    alice.delete(path)
    read_problem(alice.delete(path), 404)


def test_a_body_of_any_kind_does_not_matter(alice: Caller) -> None:
    for options in ({"content_type": "application/json"}, {"data": "not json", "content_type": "text/plain"}):
        assert alice.delete(f"/api/tasks/{alice.add()['id']}", **options).status_code == 204


def test_an_id_is_never_used_again(alice: Caller) -> None:
    first = alice.add()["id"]
    alice.delete(f"/api/tasks/{first}")
    assert alice.add()["id"] > first


def test_another_s_task_is_404_and_stays(alice: Caller, bob: Caller) -> None:
    task = alice.add()
    read_problem(bob.delete(f"/api/tasks/{task['id']}"), 404)
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task

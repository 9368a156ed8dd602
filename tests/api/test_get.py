"""GET /api/tasks/{id}"""

from tests.support.callers import Caller, read_problem, read_task


def test_a_task_is_answered_with_its_version(alice: Caller) -> None:
    task = alice.add()
    response = alice.get(f"/api/tasks/{task['id']}")
    assert read_task(response) == task
    assert response.headers["ETag"] == '"1"'


def test_a_client_that_has_this_version_gets_304_and_no_body(alice: Caller) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    for known in ('"1"', 'W/"1"', '"7", "1"', "*"):
        response = alice.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == '"1"'


def test_a_client_that_has_another_version_gets_the_task(alice: Caller) -> None:
    task = alice.add()
    path = f"/api/tasks/{task['id']}"
    alice.patch(path, json={"title": "other"})
    response = alice.get(path, headers={"If-None-Match": '"1"'})
    assert read_task(response)["title"] == "other"
    assert response.headers["ETag"] != '"1"'


def test_a_condition_for_writing_does_not_matter_when_reading(alice: Caller) -> None:
    task = alice.add()
    for known in ('"7"', "*", 'W/"1"'):
        assert read_task(alice.get(f"/api/tasks/{task['id']}", headers={"If-Match": known})) == task


def test_a_task_that_is_not_there_is_404(alice: Caller) -> None:
    problem = read_problem(alice.get("/api/tasks/999999999"), 404)
    assert problem["detail"] == "Not found: it does not exist, or it is not yours."

"""GET /api/tasks/{id}"""

from tests.support.callers import Caller, read_problem, read_task


def test_get_returns_the_task_and_its_etag(alice: Caller) -> None:
    task = alice.add()
    response = alice.get(f"/api/tasks/{task['id']}")
    assert read_task(response) == task
    assert response.headers["ETag"] == task["etag"]


def test_a_matching_if_none_match_is_304(alice: Caller) -> None:
    task = alice.add()
    tag = task["etag"]
    for known in (tag, f"W/{tag}", f'"7", {tag}', f'{tag[:-1]}-gzip"', "*"):
        response = alice.get(f"/api/tasks/{task['id']}", headers={"If-None-Match": known})
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == tag


def test_another_if_none_match_returns_the_task(alice: Caller) -> None:
    task = alice.add()
    path = f"/api/tasks/{task['id']}"
    changed = read_task(alice.patch(path, json={"title": "other"}))
    for known in (task["etag"], alice.add()["etag"], "1", '"2"'):
        response = alice.get(path, headers={"If-None-Match": known})
        assert read_task(response) == changed
        assert response.headers["ETag"] == changed["etag"] != task["etag"]


def test_if_match_is_ignored_by_get(alice: Caller) -> None:
    task = alice.add()
    for known in ('"7"', "*", 'W/"1"'):
        assert read_task(alice.get(f"/api/tasks/{task['id']}", headers={"If-Match": known})) == task


def test_a_missing_task_is_404(alice: Caller) -> None:
    problem = read_problem(alice.get("/api/tasks/999999999"), 404)
    assert problem["detail"] == "Not found: it does not exist, or it is not yours."

"""POST /api/tasks"""

import pytest

from tests.support.callers import Caller, read_problem, read_task


def test_create_returns_the_task_with_defaults(alice: Caller) -> None:
    response = alice.post("/api/tasks", json={"title": "Buy milk"})
    task = read_task(response, 201)
    assert task["id"] > 0
    assert task["user_id"] == alice.user_id
    assert (task["title"], task["description"]) == ("Buy milk", None)
    assert (task["completed"], task["completed_at"]) == (False, None)
    assert task["created_at"] == task["updated_at"]
    assert task["created_at"].endswith("Z")


def test_task_fields_have_a_fixed_order(alice: Caller) -> None:
    expected = "id user_id title description completed completed_at priority tags due_date remind_at recurrence"
    expected += " next_id created_at updated_at uid etag"
    assert list(alice.add()) == expected.split()


def test_create_returns_location_and_etag(alice: Caller) -> None:
    response = alice.post("/api/tasks", json={"title": "Buy milk"})
    assert response.headers["Location"] == f"http://localhost/api/tasks/{read_task(response, 201)['id']}"
    found = alice.get(response.headers["Location"])
    assert found.json == response.json
    assert found.headers["ETag"] == response.headers["ETag"]


def test_a_task_can_be_created_completed(alice: Caller) -> None:
    task = alice.add(completed=True)
    assert task["completed"] is True
    assert task["completed_at"] == task["created_at"]


def test_the_title_is_trimmed(alice: Caller) -> None:
    assert alice.add("  Buy\u00a0milk \n\t")["title"] == "Buy\u00a0milk"


def test_the_description_is_kept_unchanged(alice: Caller) -> None:
    assert alice.add(description="  two\n litres ")["description"] == "  two\n litres "
    assert alice.add(description="")["description"] == ""
    assert alice.add(description=None)["description"] is None


def test_the_owner_is_the_user_of_the_token(alice: Caller, bob: Caller) -> None:
    task = alice.add(user_id=bob.user_id)
    assert task["user_id"] == alice.user_id
    assert bob.titles() == []


def test_read_only_and_unknown_fields_are_ignored(alice: Caller) -> None:
    task = alice.add(id=7, created_at="2001-01-01T00:00:00Z", updated_at=3, completed_at=[], version=9, color="red")
    assert task["id"] != 7
    assert task["created_at"] > "2026"
    assert "color" not in task


@pytest.mark.parametrize(
    "title",
    [
        "x" * 200,
        "👩‍🚀" * 66,
        "é",
        "買い物",
        "' OR 1=1; --",
        "%(owner)s %s %",
        "\\",
        "🏳️‍🌈",
        ".",
        "\u200bx",
        "\u0301",
        "\ue000",
    ],
)
def test_a_title_may_have_200_code_points_of_any_script(alice: Caller, title: str) -> None:
    assert alice.add(title)["title"] == title


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("", "Must have 1 to 200 characters after trimming, not 0."),
        (" \u2003\n ", "Must have 1 to 200 characters after trimming, not 0."),
        ("x" * 201, "Must have 1 to 200 characters after trimming, not 201."),
        ("𝄞" * 201, "Must have 1 to 200 characters after trimming, not 201."),
        ("\u200b\u200d", "Must have a character that can be seen."),
        ("\ufeff \u2060\u00ad", "Must have a character that can be seen."),
        ("\u3164\u2800\ufe0f\U000e0020", "Must have a character that can be seen."),
        ("\x01\x7f", "Must have a character that can be seen."),
        (None, "May not be null: a string of 1 to 200 characters."),
        (5, "Must be a string of 1 to 200 characters, not a number."),
        (True, "Must be a string of 1 to 200 characters, not a boolean."),
        (["x"], "Must be a string of 1 to 200 characters, not an array."),
        ({"x": 1}, "Must be a string of 1 to 200 characters, not an object."),
        ("nul\x00", "Has U+0000, which is not a character that can be stored."),
        ("half a pair \ud83d", "Has U+D83D, which is not a character that can be stored."),
    ],
)
def test_invalid_titles_are_refused(alice: Caller, title: object, message: str) -> None:
    problem = read_problem(alice.post("/api/tasks", json={"title": title}), 422, "title")
    assert problem["errors"]["title"] == [message]
    assert problem["detail"] == f"title: {message}"
    assert alice.titles() == []


def test_a_title_is_required(alice: Caller) -> None:
    problem = read_problem(alice.post("/api/tasks", json={}), 422, "title")
    assert problem["errors"]["title"] == ["Required: a string of 1 to 200 characters."]


def test_create_without_a_body_needs_a_title(alice: Caller) -> None:
    read_problem(alice.post("/api/tasks"), 422, "title")
    read_problem(alice.post("/api/tasks", content_type="application/json"), 422, "title")


@pytest.mark.parametrize("description", ["x" * 1001, 5, [], {}, False, "\x00", "\udc00"])
def test_invalid_descriptions_are_refused(alice: Caller, description: object) -> None:
    read_problem(alice.post("/api/tasks", json={"title": "x", "description": description}), 422, "description")


@pytest.mark.parametrize("completed", [1, 0, "true", "yes", "", None, [], {}, 1.0])
def test_completed_must_be_a_boolean(alice: Caller, completed: object) -> None:
    problem = read_problem(alice.post("/api/tasks", json={"title": "x", "completed": completed}), 422, "completed")
    assert "true or false" in problem["detail"]


def test_all_invalid_fields_are_reported_at_once(alice: Caller) -> None:
    response = alice.post("/api/tasks", json={"title": "", "description": 1, "completed": "no"})
    read_problem(response, 422, "title", "description", "completed")

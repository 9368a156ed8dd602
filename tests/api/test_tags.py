"""`tags` and `priority`"""

from typing import Any

import pytest

from tests.support.callers import Caller, read_problem, read_task


def test_a_new_task_has_no_tags_and_no_priority(alice: Caller) -> None:
    task = alice.add()
    assert (task["tags"], task["priority"]) == ([], None)


def test_tags_are_trimmed_and_keep_order_and_case(alice: Caller) -> None:
    task = alice.add(tags=["Work", " home ", "Ärger", "買い物", "a b", '"', "\\", "NULL", "{}", ","])
    assert task["tags"] == ["Work", "home", "Ärger", "買い物", "a b", '"', "\\", "NULL", "{}", ","]
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


def test_a_tag_is_found_in_any_case(alice: Caller) -> None:
    alice.add("one", tags=["STRASSE", "ὈΔΎΣΣΕΙΑ"])
    for tag in ("straße", "Strasse", "ὀδύσσεια"):
        found = alice.get("/api/tasks", query_string={"tag": tag}).json
        assert [task["title"] for task in found or []] == ["one"]


def test_null_means_no_tags(alice: Caller) -> None:
    task = alice.add(tags=None, priority=None)
    assert (task["tags"], task["priority"]) == ([], None)
    path = f"/api/tasks/{alice.add(tags=['x'], priority='low')['id']}"
    changed = read_task(alice.patch(path, json={"tags": None, "priority": None}))
    assert (changed["tags"], changed["priority"]) == ([], None)


def test_twenty_tags_of_50_characters_are_accepted(alice: Caller) -> None:
    tags = [f"{number:02}" + "é" * 48 for number in range(20)]
    assert alice.add(tags=tags)["tags"] == tags


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([str(number) for number in range(21)], "Must have at most 20 tags, not 21."),
        (["ok", ""], "Tag 2: Must have 1 to 50 characters after trimming, not 0."),
        ([" "], "Tag 1: Must have 1 to 50 characters after trimming, not 0."),
        (["x" * 51], "Tag 1: Must have 1 to 50 characters after trimming, not 51."),
        (["ok", 5], "Tag 2: Must be a string of 1 to 50 characters, not a number."),
        ([None], "Tag 1: May not be null: a string of 1 to 50 characters."),
        (["a\x00"], "Tag 1: Has U+0000, which is not a character that can be stored."),
        (["\ud800"], "Tag 1: Has U+D800, which is not a character that can be stored."),
        (["a", "a"], "Tag 2 is a duplicate of an earlier tag; case is ignored."),
        (["Straße", "x", " STRASSE"], "Tag 3 is a duplicate of an earlier tag; case is ignored."),
        (["\u200b"], "Tag 1: Must have a character that can be seen."),
        (["İş", "iş"], "Tag 2 is a duplicate of an earlier tag; case is ignored."),
        (["ısı", "ISI"], "Tag 2 is a duplicate of an earlier tag; case is ignored."),
        (["caf\u00e9", "CAFE\u0301"], "Tag 2 is a duplicate of an earlier tag; case is ignored."),
        ("work", "Must be an array of strings, or null, not a string."),
        ({"work": True}, "Must be an array of strings, or null, not an object."),
        (0, "Must be an array of strings, or null, not a number."),
    ],
)
def test_invalid_tags_are_refused(alice: Caller, tags: Any, message: str) -> None:
    problem = read_problem(alice.post("/api/tasks", json={"title": "x", "tags": tags}), 422, "tags")
    assert problem["errors"]["tags"] == [message]
    assert problem["detail"] == f"tags: {message}"
    assert alice.titles() == []


def test_all_invalid_tags_are_named_at_once(alice: Caller) -> None:
    problem = read_problem(alice.post("/api/tasks", json={"title": "x", "tags": ["a", 1, "", "A"]}), 422, "tags")
    assert [message[:5] for message in problem["errors"]["tags"]] == ["Tag 2", "Tag 3", "Tag 4"]


@pytest.mark.parametrize("priority", ["low", "medium", "high"])
def test_a_priority_can_be_set_and_changed(alice: Caller, priority: str) -> None:
    task = alice.add(priority=priority)
    assert task["priority"] == priority
    assert read_task(alice.put(f"/api/tasks/{task['id']}", json={"priority": "low"}))["priority"] == "low"


@pytest.mark.parametrize(
    ("sent", "stored"), [("High", "high"), ("LOW", "low"), ("none", None), ("None", None), ("", None), (None, None)]
)
def test_other_spellings_of_a_priority_mean_the_same(alice: Caller, sent: str | None, stored: str | None) -> None:
    task = alice.add(priority="medium")
    assert read_task(alice.patch(f"/api/tasks/{task['id']}", json={"priority": sent}))["priority"] == stored
    assert alice.add(priority=sent)["priority"] == stored


@pytest.mark.parametrize("priority", ["urgent", " ", "null", 1, True, ["low"], {}])
def test_other_priorities_are_refused(alice: Caller, priority: Any) -> None:
    problem = read_problem(alice.post("/api/tasks", json={"title": "x", "priority": priority}), 422, "priority")
    assert problem["detail"] == "priority: Must be one of low, medium, high, or null."


def test_changing_other_fields_keeps_tags_and_priority(alice: Caller) -> None:
    task = alice.add(tags=["x"], priority="high", due_date="2026-12-31")
    changed = read_task(alice.patch(f"/api/tasks/{task['id']}", json={"title": "new"}))
    assert changed == task | {"title": "new"} | {name: changed[name] for name in ("updated_at", "etag")}

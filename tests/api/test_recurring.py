"""Recurring tasks: completing, reopening, moving and ending."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.callers import Caller, read_problem, read_task

TODAY = datetime.now(UTC).date()


def add(caller: Caller, rule: str, due_date: str, **fields: Any) -> dict[str, Any]:
    """Create a recurring task; ``from`` and ``time_zone`` are members of its recurrence."""
    members = {name: fields.pop(name) for name in ("from", "time_zone") if name in fields}
    body: dict[str, Any] = {
        "title": "Water the plants",
        "due_date": due_date,
        "recurrence": {"rule": rule, **members},
        **fields,
    }
    return read_task(caller.post("/api/tasks", json=body), 201)


def complete(caller: Caller, task: dict[str, Any], **body: Any) -> dict[str, Any]:
    return read_task(caller.patch(f"/api/tasks/{task['id']}/complete", json=body or {"completed": True}))


def follow(caller: Caller, task: dict[str, Any]) -> dict[str, Any]:
    """Complete a task and return its successor."""
    done = complete(caller, task)
    assert done["completed"] is True
    return read_task(caller.get(f"/api/tasks/{done['next_id']}"))


def test_completing_adds_the_next_task(alice: Caller) -> None:
    due = TODAY + timedelta(days=3)
    task = add(
        alice,
        "RRULE:freq=daily;interval=2",
        str(due),
        description="All",
        tags=["Home"],
        priority="high",
        remind_at=f"{due}T07:00:00Z",
    )
    assert task["recurrence"] == {"rule": "FREQ=DAILY;INTERVAL=2", "from": "due", "time_zone": None}
    successor = follow(alice, task)
    assert successor["due_date"] == str(due + timedelta(days=2))
    assert successor["remind_at"] == f"{due + timedelta(days=2)}T07:00:00.000000Z"
    same = ("title", "description", "tags", "priority", "recurrence", "user_id")
    assert [successor[name] for name in same] == [task[name] for name in same]
    assert (successor["completed"], successor["next_id"]) == (False, None)
    assert successor["uid"] != task["uid"]
    assert len(alice.titles()) == 2


def test_reopening_removes_an_untouched_successor(alice: Caller) -> None:
    task = add(alice, "FREQ=DAILY", str(TODAY))
    successor = follow(alice, task)
    reopened = complete(alice, task, completed=False)
    assert (reopened["completed"], reopened["next_id"]) == (False, None)
    read_problem(alice.get(f"/api/tasks/{successor['id']}"), 404)
    assert alice.get("/api/trash").json == []
    assert follow(alice, task)["id"] != successor["id"]

"""Plans at a million tasks and half a million in the trash: only own rows by an index, and pages of constant cost."""

import time
from itertools import count, product
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from tests.support.million_tasks import BIG, EXPIRED, OWN, TRASHED, Plan, Reader
from tests.support.pages import read_next
from todo.database.changes import SCOPE
from todo.database.cursors import write_cursor
from todo.database.resource import MAX_ID
from todo.tasks import limits

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "status": {"status": "pending"},
    "priority": {"priority": "high"},
    "tag": {"tag": "tag3"},
    "due": {"due_after": "2026-03-01", "due_before": "2026-03-31"},
    "due in a time zone": {"due_after": "2026-03-01", "due_before": "2026-03-31T12:00:00Z", "time_zone": "Asia/Tokyo"},
    "reminder": {"remind_after": "2026-03-01", "remind_before": "2026-03-31"},
    "search": {"search": "milk 7"},
    "a search without results": {"search": "nothing like it"},
    "all": {"completed": "true", "priority": "low", "tag": ["home"], "due_after": "2026-02-01", "search": "ärger"},
}
SORTS = ["created", "updated", "title", "due_date", "priority"]


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_every_query_reads_only_own_rows_by_an_index(reader: Reader, filters: str, sort: str, order: str) -> None:
    query = urlencode({**FILTERS[filters], "sort": sort, "order": order, "limit": "50"}, doseq=True)
    plan = reader.explain(f"/api/tasks?{query}")
    check_scans(plan)
    parts = 2 if sort == "due_date" else 1
    assert plan.read <= OWN * parts


@pytest.mark.parametrize("sort", ["created", "updated", "due_date"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("depth", [0, 9, 15])
def test_pages_read_few_more_rows_than_they_return(reader: Reader, sort: str, order: str, depth: int) -> None:
    path = f"/api/tasks?sort={sort}&order={order}&limit=1000"
    for _ in range(depth):
        path = str(read_next(reader.caller.get(path)))
    plan = reader.explain(path.replace("limit=1000", "limit=50"))
    assert plan.found == 50
    assert plan.read <= 2 * 51


# Where a page of changes begins: since which number the deleted tasks are listed, and after which number it begins.
PLACES = {
    "all tasks": None,
    "the middle of all tasks": (1_000_000, 750_000),
    "half a year ago": (0, 500_000),
    "last week": (900_000, 900_000),
    "a moment ago": (999_500, 999_500),
    "now": (1_000_000, 1_000_000),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("limit", [50, 1000])
def test_changes_read_few_more_rows_than_they_return(reader: Reader, place: str, limit: int) -> None:
    query: dict[str, Any] = {"limit": limit}
    if (numbers := PLACES[place]) is not None:
        [(epoch,)] = reader.database.run("SELECT epoch::text FROM todo.feeds WHERE user_id = %s", (BIG,))
        query["cursor"] = write_cursor([epoch, *numbers, MAX_ID], SCOPE)
    plan = reader.explain(f"/api/tasks/changes?{urlencode(query)}")
    check_scans(plan)
    assert plan.found == (0 if place == "now" else min(limit, 110) if place == "a moment ago" else limit)
    # The counter, and a page from each of the two tables.
    assert plan.read <= 1 + 2 * (limit + 1)


def test_pages_of_the_trash_read_few_more_rows_than_they_return(reader: Reader) -> None:
    paths = ["/api/trash?limit=1000"]
    while page := read_next(reader.caller.get(paths[-1])):
        paths.append(page)
    assert len(paths) == 100
    for path, limit in product((paths[0], paths[50], paths[-1]), (50, 1000)):
        plan = reader.explain(path.replace("limit=1000", f"limit={limit}"))
        check_scans(plan)
        assert plan.found == limit - (EXPIRED if path == paths[-1] and limit == 1000 else 0)
        assert plan.read <= limit + 1


def test_the_calendar_reads_few_rows_and_a_known_one_none(reader: Reader) -> None:
    path = "/api/tasks/calendar.ics"
    plan = reader.explain(path)
    check_scans(plan)
    # The counter, and the tasks that are due last, of which every second is open.
    assert 1000 < plan.read <= 1 + 2 * 1001 + OWN // 100
    known = reader.explain(path, headers={"If-None-Match": reader.caller.get(path).headers["ETag"]})
    check_scans(known)
    assert known.read == 1


def test_a_task_is_found_by_its_uid_at_once(reader: Reader) -> None:
    [task] = reader.caller.get("/api/tasks?limit=1").get_json()
    plan = reader.explain(f"/api/tasks/{task['uid']}")
    check_scans(plan)
    assert plan.read == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/tasks/{id}", {"title": "new"}),
        ("PATCH", "/api/tasks/{uid}", {"title": "new"}),
        ("PATCH", "/api/tasks/{uid}/complete", None),
        ("PUT", "/api/tasks/{uid}", {"title": "new"}),
        ("DELETE", "/api/tasks/{id}", None),
        ("DELETE", "/api/tasks/{uid}", None),
        ("POST", "/api/trash/{id}/restore", None),
        ("POST", "/api/trash/{uid}/restore", None),
        ("DELETE", "/api/trash/{id}", None),
        ("DELETE", "/api/trash/{uid}", None),
    ],
)
def test_a_write_reads_few_rows(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any
) -> None:
    # The first deletion, or toggle, looks at the 32 oldest tasks of the trash, and removes those that are too old.
    monkeypatch.setattr(limits, "DELETIONS", count())
    tasks = reader.caller.get(f"/api/{'trash' if '/trash/' in path else 'tasks'}?limit=1").get_json()
    plan = reader.explain_write(method, path, tasks, lambda _: body)
    check_scans(plan)
    if (method, path.split("/")[2]) == ("DELETE", "tasks") or path.endswith("/complete"):
        assert 32 + EXPIRED + 2 <= plan.read <= 2 * (32 + EXPIRED)
    else:
        assert 2 <= plan.read <= 6


def test_a_creation_reads_few_rows(reader: Reader) -> None:
    for method, path in (("POST", "/api/tasks"), ("PUT", f"/api/tasks/{uuid4()}")):
        plan = reader.explain_write(method, path, [], lambda: {"title": "new"})
        check_scans(plan)
        assert plan.read <= 6


def test_a_batch_reads_few_rows_for_each_operation(reader: Reader) -> None:
    tasks = reader.caller.get("/api/tasks?limit=60").get_json()

    def write_batch(*others: dict[str, Any]) -> Any:
        operations = [{"op": "update", "uid": each["uid"], "changes": {"title": "new"}} for each in others[:30]]
        operations += [{"op": "delete", "id": each["id"]} for each in others[30:]]
        return {"operations": operations + [{"op": "create", "task": {"title": "new"}}] * 40}

    plan = reader.explain_write("POST", "/api/tasks/batch", tasks, write_batch)
    check_scans(plan)
    assert 100 <= plan.read <= 1000

    def write_completions(*others: dict[str, Any]) -> Any:
        return {
            "operations": [
                {"op": "complete", "id": each["id"], "completed": number % 2 == 0} for number, each in enumerate(others)
            ]
        }

    plan = reader.explain_write("POST", "/api/tasks/batch", tasks, write_completions)
    check_scans(plan)
    assert 60 <= plan.read <= 600


def test_reminders_are_found_by_their_index(reader: Reader) -> None:
    plan = reader.explain("/api/tasks?remind_after=2026-03-07&remind_before=2026-03-07")
    check_scans(plan)
    assert "tasks_by_reminder" in {node.get("Index Name") for node in plan.scans}
    assert 10 < plan.found == plan.read < 100


# A task that recurs, and one that nobody has changed, as if it followed.
RECURRING = """
    UPDATE todo.tasks SET recurrence = '{"rule": "FREQ=DAILY", "from": "due", "time_zone": "UTC"}',
      anchor = '2026-01-01', completed_at = CASE WHEN %(completed)s THEN now() END,
      next_id = CASE WHEN %(completed)s THEN %(next_id)s END
    WHERE user_id = %(owner)s AND id = %(id)s RETURNING id, uid::text
"""
UNTOUCHED = """
    SELECT id FROM todo.tasks WHERE user_id = %s AND created_at = updated_at AND completed_at IS NULL
      AND due_at IS NOT NULL ORDER BY id LIMIT 2
"""


@pytest.mark.parametrize("completed", [True, False])
@pytest.mark.parametrize("way", ["PATCH", "PUT", "POST"])
def test_completing_and_reopening_recurring_tasks_read_few_rows(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, way: str, completed: bool
) -> None:
    monkeypatch.setattr(limits, "DELETIONS", count(1))  # Not the one in 16 that removes old tasks.
    (task_id,), (next_id,) = reader.database.run(UNTOUCHED, (BIG,))
    values = {"owner": BIG, "id": task_id, "next_id": next_id}
    [(_, uid)] = reader.database.run(RECURRING, {**values, "completed": not completed})
    path = "/api/tasks/batch" if way == "POST" else "/api/tasks/{uid}"

    def write_body(task: dict[str, Any]) -> Any:
        operation = {"op": "complete", "id": task["id"], "completed": completed}
        return {"operations": [operation]} if way == "POST" else {"completed": completed}

    plan = reader.explain_write(way, path, [{"id": task_id, "uid": uid}], write_body)
    reader.database.run(RECURRING, {**values, "completed": False})
    check_scans(plan)
    # The successor was added to the tasks, or else moved to the trash.
    table = "tasks" if completed else "trash"
    assert sum(node["Actual Rows"] for node in plan.insertions if node["Relation Name"] == table) == 1
    print(f"\n{plan.read} rows")
    assert plan.read <= 20


def test_a_full_trash_is_emptied_in_time(reader: Reader) -> None:
    started = time.monotonic()
    assert reader.caller.delete("/api/trash").status_code == 204
    print(f"\n{TRASHED // 5} tasks removed in {time.monotonic() - started:.1f} s")
    assert reader.database.run("SELECT count(*) FROM todo.trash WHERE user_id = %s", (BIG,)) == [(0,)]


def check_scans(plan: Plan) -> None:
    """Fail if a plan reads rows of other users."""
    for node in plan.scans:
        assert node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan"}
        if node["Node Type"] != "Bitmap Heap Scan":
            assert "user_id" in node["Index Cond"]

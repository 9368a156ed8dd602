"""Queries find what a model in Python finds, and pages list every unchanged task once."""

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any
from unicodedata import normalize

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.callers import Caller, read_task, read_tasks
from tests.support.pages import read_next

Task = dict[str, Any]

# Few values, so that tasks share them: ties, substrings, other case, other Unicode normalization.
PIECES = ["a", "B", "ab", "É", "e\u0301", "ß", "SS", "Я", "я", "買", " ", "_", "%", "\\", "0"]
texts = st.lists(st.sampled_from(PIECES), max_size=5)
titles = texts.map(lambda pieces: "".join(pieces).strip() or "untitled")
days = st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03"])
times = st.sampled_from(["T00:00:00Z", "T12:00:00+02:00", "T23:59:59.999999Z", "T23:30:00-01:00", "T00:30:00+01:00"])
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "title": titles,
    "description": st.none() | texts.map("".join),
    "completed": st.booleans(),
    "priority": st.sampled_from([None, "low", "medium", "high"]),
    "tags": st.lists(st.sampled_from(["x", "Y", "É"]), unique=True, max_size=3),
    "due_date": st.none() | days | st.builds(str.__add__, days, times),
}
new_tasks = st.fixed_dictionaries(MEMBERS)
changes = st.fixed_dictionaries({}, optional=MEMBERS)
orders = {
    "sort": st.sampled_from(["created", "updated", "title", "due_date", "priority"]),
    "order": st.sampled_from(["asc", "desc"]),
}
queries = st.fixed_dictionaries(
    {},
    optional={
        **orders,
        "status": st.sampled_from(["all", "pending", "completed"]),
        "completed": st.sampled_from(["true", "false"]),
        "priority": st.sampled_from(["low", "medium", "high"]),
        "tag": st.lists(st.sampled_from(["X", "y", "e\u0301"]), min_size=1, max_size=2),
        "due_before": days,
        "due_after": days,
        "search": texts.map(" ".join) | texts.map("".join),
        "limit": st.integers(1, 4),
    },
)
thorough = settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def fold(text: str | None) -> str:
    return normalize("NFC", normalize("NFC", text or "").casefold())


def read_due(task: Task) -> tuple[date, bool, datetime] | None:
    """Return the UTC day, whether it is a whole day (which sorts after the instants of the day), and the instant."""
    if task["due_date"] is None:
        return None
    if "T" not in task["due_date"]:
        return date.fromisoformat(task["due_date"]), True, datetime.min.replace(tzinfo=UTC)
    instant = datetime.fromisoformat(task["due_date"]).astimezone(UTC)
    return instant.date(), False, instant


def is_found(task: Task, query: dict[str, Any]) -> bool:
    due = read_due(task)
    folded_tags = {fold(tag) for tag in task["tags"]}
    return all(
        (
            query.get("status", "all") in {"all", "completed" if task["completed"] else "pending"},
            query.get("completed", str(task["completed"]).lower()) == str(task["completed"]).lower(),
            query.get("priority", task["priority"]) == task["priority"],
            all(fold(tag) in folded_tags for tag in query.get("tag", [])),
            "due_before" not in query or (due is not None and due[0] <= date.fromisoformat(query["due_before"])),
            "due_after" not in query or (due is not None and due[0] >= date.fromisoformat(query["due_after"])),
            all(
                word in fold(task["title"]) or word in fold(task["description"])
                for word in fold(query.get("search")).split()
            ),
        )
    )


def arrange(tasks: list[Task], query: dict[str, Any]) -> list[Task]:
    keys: dict[str, Any] = {
        "created": lambda task: (),
        "updated": lambda task: datetime.fromisoformat(task["updated_at"]),
        "title": lambda task: fold(task["title"]),
        "due_date": read_due,
        "priority": lambda task: {None: None, "low": 1, "medium": 2, "high": 3}[task["priority"]],
    }
    sort = query.get("sort", "created")
    key = keys[sort]
    descending = query.get("order", "asc" if sort in {"title", "due_date"} else "desc") == "desc"
    valued = [task for task in tasks if key(task) is not None]
    valueless = [task for task in tasks if key(task) is None]
    return sorted(valued, key=lambda task: (key(task), task["id"]), reverse=descending) + sorted(
        valueless, key=lambda task: int(task["id"]), reverse=descending
    )


def read_pages(caller: Caller, query: dict[str, Any]) -> list[list[Task]]:
    response = caller.get("/api/tasks", query_string=query)
    pages = [read_tasks(response)]
    while url := read_next(response):
        response = caller.get(url)
        pages.append(read_tasks(response))
    return pages


@thorough
@given(
    new=st.lists(new_tasks, max_size=8),
    changed=st.lists(st.tuples(st.integers(0, 7), changes), max_size=3),
    asked=st.lists(queries, min_size=8, max_size=8),
)
def test_a_query_finds_the_tasks_of_the_model(
    make_caller: Any, new: list[Task], changed: list[tuple[int, Task]], asked: list[dict[str, Any]]
) -> None:
    caller = make_caller()
    tasks = [caller.add(**task) for task in new]
    for number, change in changed:
        if number < len(tasks):
            tasks[number] = read_task(caller.patch(f"/api/tasks/{tasks[number]['id']}", json=change))
    for query in asked:
        pages = read_pages(caller, query)
        found = [task for page in pages for task in page]
        expected = arrange([task for task in tasks if is_found(task, query)], query)
        assert [task["id"] for task in found] == [task["id"] for task in expected], query
        assert found == expected
        limit = query.get("limit", 1000)
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert pages == [[]] or 1 <= len(pages[-1]) <= limit


meanwhile: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("add"), st.just(0), new_tasks),
    st.tuples(st.just("delete"), st.integers(0, 11), st.just({})),
    st.tuples(st.just("change"), st.integers(0, 11), changes),
)


@thorough
@given(
    new=st.lists(new_tasks, min_size=4, max_size=12),
    query=st.fixed_dictionaries({**orders, "limit": st.integers(1, 3)}),
    happening=st.lists(st.lists(meanwhile, max_size=2), max_size=8),
)
def test_pages_list_unchanged_tasks_exactly_once(
    make_caller: Any, new: list[Task], query: dict[str, Any], happening: list[list[tuple[str, int, Task]]]
) -> None:
    caller = make_caller()
    tasks = [caller.add(**task) for task in new]
    there = {task["id"] for task in tasks}
    added: set[int] = set()
    response = caller.get("/api/tasks", query_string=query)
    met = [task["id"] for task in read_tasks(response)]
    while url := read_next(response):
        for kind, number, body in happening.pop(0) if happening else []:
            path = f"/api/tasks/{tasks[number % len(tasks)]['id']}"
            if kind == "add":
                added.add(caller.add(**body)["id"])
                continue
            there.discard(tasks[number % len(tasks)]["id"])
            caller.delete(path) if kind == "delete" else caller.patch(path, json=body)
        response = caller.get(url)
        met += [task["id"] for task in read_tasks(response)]
    times_met = Counter(met)
    assert {task_id: times_met[task_id] for task_id in there} == dict.fromkeys(there, 1)
    assert all(times_met[task_id] <= 1 for task_id in added)

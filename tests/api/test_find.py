"""Filters, search and order of GET /api/tasks. An invalid parameter fails and never returns the wrong list."""

import time
from typing import Any

import pytest

from tests.support.callers import Caller, read_problem, read_tasks
from tests.support.databases import Database


def find(caller: Caller, **query: Any) -> list[str]:
    """Return the titles of the tasks found, in order."""
    return [task["title"] for task in read_tasks(caller.get("/api/tasks", query_string=query))]


def test_filter_by_status(alice: Caller) -> None:
    alice.add("done", completed=True)
    alice.add("open")
    assert find(alice) == find(alice, status="all") == ["open", "done"]
    assert find(alice, status="pending") == find(alice, completed="false") == ["open"]
    assert find(alice, status="completed") == find(alice, completed="true") == ["done"]
    assert find(alice, status="pending", completed="true") == []


def test_filter_by_priority(alice: Caller) -> None:
    for priority in ("low", "high", None):
        alice.add(str(priority), priority=priority)
    assert find(alice, priority="high") == ["high"]
    assert find(alice, priority="medium") == []


def test_filter_by_several_tags_ignoring_case(alice: Caller) -> None:
    alice.add("both", tags=["Work", "Über"])
    alice.add("one", tags=["work"])
    assert find(alice, tag="WORK") == ["one", "both"]
    assert find(alice, tag=["work", " ÜBER "]) == ["both"]
    assert find(alice, tag=["work", "Work"]) == ["one", "both"]
    assert find(alice, tag="wor") == []


def test_filter_by_due_date_includes_both_ends(alice: Caller) -> None:
    for due_date in (None, "2026-12-30", "2026-12-31T00:00:00Z", "2026-12-31", "2026-12-31T23:59:59Z", "2027-01-01"):
        alice.add(str(due_date), due_date=due_date)
    on_the_last = ["2026-12-31T23:59:59Z", "2026-12-31", "2026-12-31T00:00:00Z"]
    assert find(alice, due_after="2026-12-31") == ["2027-01-01", *on_the_last]
    assert find(alice, due_before="2026-12-31") == [*on_the_last, "2026-12-30"]
    assert find(alice, due_before="2026-12-31", due_after="2026-12-31") == on_the_last
    assert find(alice, due_before="9999-12-31", due_after="0001-01-01") == ["2027-01-01", *on_the_last, "2026-12-30"]


@pytest.mark.parametrize(
    ("text", "searches"),
    [
        ("Buy milk", ["milk", "MILK", "il", "buy milk", "milk  buy", "\u3000milk\n"]),
        ("Crème BRÛLÉE", ["crème", "CRÈME", "brûlée", "cre\u0300me"]),
        ("cafe\u0301 at noon", ["CAFÉ"]),
        ("Straße", ["strasse", "STRASSE", "straße"]),
        ("Купить МОЛОКО", ["молоко", "КУПИТЬ", "олок"]),
        ("ΟΔΥΣΣΕΥΣ", ["οδυσσευς", "ΟΔΥΣΣΕΥΣ", "ς"]),
        ("شراء الحليب", ["الحليب", "حليب"]),
        ("买牛奶和面包", ["牛奶", "面包 牛奶"]),
        ("ミルクを買う", ["ミルク", "買う"]),
        ("100% of a_b \\ c", ["100%", "a_b", "\\", "%", "_"]),
        ("İstanbul", ["i̇stanbul", "stanbul", "istanbul", "ISTANBUL", "ıstanbul", "İSTANBUL", "I\u0307stanbul"]),
        ("ISPARTA ısı", ["ısparta", "isparta", "İSPARTA", "ISI", "ısı", "isi"]),
    ],
)
def test_search_in_any_script_ignoring_case(alice: Caller, text: str, searches: list[str]) -> None:
    alice.add(text)
    alice.add("else", description=f"before {text} after")
    for search in searches:
        assert find(alice, search=search) == ["else", text], search


def test_every_search_word_must_match_title_or_description(alice: Caller) -> None:
    alice.add("milk", description="two litres")
    alice.add("bread")
    assert find(alice, search="milk litres") == ["milk"]
    assert find(alice, search="milk bread") == []
    assert find(alice, search="milktwo") == []
    assert find(alice, search="axb") == find(alice, search="m%k") == find(alice, search="m_lk") == []
    assert find(alice, search="") == find(alice, search="  ") == ["bread", "milk"]


def test_a_search_that_takes_too_long_is_422_with_a_hint(alice: Caller, database: Database) -> None:
    database.run(
        "INSERT INTO todo.tasks (user_id, title, description) SELECT %s, repeat('é', 200), repeat('é', 1000)"
        " FROM generate_series(1, 20000)",
        (alice.user_id,),
    )
    started = time.monotonic()
    response = alice.get("/api/tasks", query_string={"search": "é" * 199 + "b", "limit": "1"})
    assert time.monotonic() - started < 3
    if response.status_code != 200:  # The search may finish in time on a fast machine.
        problem = read_problem(response, 422, "search")
        assert problem["code"] == "search_too_slow"
        assert "fewer words" in problem["detail"]
    assert find(alice, search="b" + "é" * 199, limit="1") == []


def test_a_search_that_waits_for_a_lock_is_503(alice: Caller, database: Database) -> None:
    with database.transaction() as execute:
        execute("LOCK TABLE todo.tasks")
        response = alice.get("/api/tasks?search=milk")
    read_problem(response, 503)
    assert "Retry-After" in response.headers


def test_search_finds_the_changed_text(alice: Caller) -> None:
    path = f"/api/tasks/{alice.add('ÄRGER', description='ÖL')['id']}"
    alice.patch(path, json={"title": "ÜBUNG"})
    assert find(alice, search="übung öl") == ["ÜBUNG"]
    alice.patch(path, json={"title": "plain", "description": None})
    assert find(alice, search="übung") == find(alice, search="öl") == []
    assert find(alice, search="PLAIN") == ["plain"]


ORDERS = {
    ("created", None): "a C b D",
    ("created", "asc"): "D b C a",
    ("updated", None): "b a C D",
    ("updated", "asc"): "D C a b",
    ("title", None): "a b C D",
    ("title", "desc"): "D C b a",
    ("due_date", None): "b a D C",
    ("due_date", "desc"): "a b C D",
    ("priority", None): "b a D C",
    ("priority", "asc"): "D a b C",
}


@pytest.mark.parametrize(("sort", "order"), ORDERS)
def test_sort_by_each_field(alice: Caller, sort: str, order: str | None) -> None:
    alice.add("D", priority="low")
    b = alice.add("b", priority="high", due_date="2026-12-31T23:59:59Z")
    alice.add("C")
    alice.add("a", priority="medium", due_date="2026-12-31")
    alice.patch(f"/api/tasks/{b['id']}", json={"description": "changed"})
    assert find(alice, sort=sort, **({"order": order} if order else {})) == ORDERS[sort, order].split()


def test_filters_and_sort_combine(alice: Caller) -> None:
    for number in range(6):
        alice.add(f"{number} milk", completed=number % 2 == 0, priority="high", due_date=f"2026-12-0{9 - number}")
    found = find(alice, status="completed", search="milk", priority="high", due_before="2026-12-08", sort="due_date")
    assert found == ["4 milk", "2 milk"]


DATE_TIME = "or a date-time like 2026-12-31T17:00:00+05:00"
SUGGESTED = "2026-12-31T00:00:00Z for UTC, or one like 2026-12-31T00:00:00+05:00"
ZONE = "the name of an IANA time zone, such as Europe/Berlin or UTC"
ALLOWED = (
    "status, completed, priority, tag, due_before, due_after, remind_before, remind_after, time_zone, search, sort,"
    " order, limit, cursor"
)


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        ("stauts=pending", "stauts", f"Unknown parameter; allowed: {ALLOWED}."),
        ("Status=pending", "Status", f"Unknown parameter; allowed: {ALLOWED}."),
        ("=x", "", f"Unknown parameter; allowed: {ALLOWED}."),
        ("status=done", "status", "Must be one of all, pending, completed."),
        ("status=all&status=pending", "status", "Given 2 times; once is allowed."),
        ("completed=1", "completed", "Must be one of true, false."),
        ("priority=urgent", "priority", "Must be one of low, medium, high."),
        ("sort=id", "sort", "Must be one of created, updated, title, due_date, priority."),
        ("order=down", "order", "Must be one of asc, desc."),
        ("limit=0", "limit", "Must be a whole number from 1 to 1000."),
        ("limit=1001", "limit", "Must be a whole number from 1 to 1000."),
        ("limit=-1", "limit", "Must be a whole number from 1 to 1000."),
        ("limit=%2B5", "limit", "Must be a whole number from 1 to 1000."),
        ("limit=1.5", "limit", "Must be a whole number from 1 to 1000."),
        ("limit=%D9%A3", "limit", "Must be a whole number from 1 to 1000."),
        ("limit=" + "9" * 5000, "limit", "Must be a whole number from 1 to 1000."),
        ("due_before=tomorrow", "due_before", f"Must be a date like 2026-12-31, {DATE_TIME}."),
        ("sort_by=bogus", "sort_by", "Must be one of created, updated, title, due_date, priority."),
        ("filter=done", "filter", "Must be one of all, pending, completed."),
        ("tag[]=" + "x" * 51, "tag[]", "Must have 1 to 50 characters after trimming, not 51."),
        ("page=2", "page", "Must be 1: to go on, follow the Link header's next page, which has a cursor."),
        ("skip=20", "skip", "Must be 0: to go on, follow the Link header's next page, which has a cursor."),
        ("sort=-title&order=asc", "order", "Contradicts the direction of sort, which is desc."),
        ("sort=title_newest", "sort", "Must be one of created, updated, title, due_date, priority."),
        ("time_zone=Mars", "time_zone", f"Must be {ZONE}."),
        ("time_zone=localtime", "time_zone", f"Must be {ZONE}."),
        ("time_zone=../UTC", "time_zone", f"Must be {ZONE}."),
        ("due_after=2026-12-31T00:00", "due_after", f"Must have seconds and an offset from UTC: {SUGGESTED}."),
        ("due_after=2026-02-30", "due_after", "Is not a day of the calendar."),
        ("tag=%20", "tag", "Must have 1 to 50 characters after trimming, not 0."),
        ("tag=a&tag=" + "x" * 51, "tag", "Must have 1 to 50 characters after trimming, not 51."),
        ("search=" + "x" * 201, "search", "Must have 0 to 200 characters, not 201."),
        ("search=%00", "search", "Has U+0000, which is not a character that can be stored."),
    ],
)
def test_unknown_parameters_and_values_list_the_allowed_ones(
    alice: Caller, query: str, name: str, message: str
) -> None:
    problem = read_problem(alice.get(f"/api/tasks?{query}"), 422, name)
    assert problem["errors"][name] == [message]


def test_all_invalid_parameters_are_reported_at_once(alice: Caller) -> None:
    read_problem(alice.get("/api/tasks?status=x&limit=0&order=up"), 422, "status", "limit", "order")
    query = "stauts=x&sort_by=bogus&priority=low&priority=high&sort_order=asc&order=desc&limit=5"
    read_problem(alice.get(f"/api/tasks?{query}"), 422, "stauts", "sort_by", "priority", "sort_order", "order")
    read_problem(alice.get("/api/tasks?sort=-title&sort_order=asc&limit=0"), 422, "sort_order", "limit")
    too_long = read_problem(alice.get(f"/api/tasks?{'x' * 5000}=1"), 422, "x" * 100)
    assert len(too_long["detail"]) < 400


def test_an_error_names_a_limited_number_of_parameters(alice: Caller) -> None:
    response = alice.get("/api/tasks?" + "&".join(f"x{number}=1" for number in range(1000)))
    read_problem(response, 422, *[f"x{number}" for number in range(20)])
    assert len(response.data) < 10_000


def test_parameters_without_a_value_count_as_absent(alice: Caller) -> None:
    """HTML forms send a parameter for each empty field."""
    alice.add()
    names = "status completed priority tag due_before due_after time_zone search sort order limit cursor page offset x"
    assert len(read_tasks(alice.get("/api/tasks?" + "=&".join(names.split()) + "="))) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ""), ("GET", "/1"), ("PUT", "/1"), ("PATCH", "/1"), ("DELETE", "/1"), ("PATCH", "/1/complete")],
)
def test_a_path_without_parameters_refuses_them(alice: Caller, method: str, path: str) -> None:
    allowed = "completed" if (method, path) == ("PATCH", "/1") else "none"
    for query in ("x=1", "x=", "x"):
        response = alice.call(method, f"/api/tasks{path}?{query}", json={"title": "x"})
        assert read_problem(response, 422, "x")["errors"]["x"] == [f"Unknown parameter; allowed: {allowed}."]
    assert alice.titles() == []


def test_a_query_that_is_not_utf_8_is_no_500(alice: Caller) -> None:
    alice.add()
    for name in ("search", "tag", "status", "cursor", "q"):
        problem = read_problem(alice.get(f"/api/tasks?{name}=M%FCller&limit=5"), 422, name)
        assert problem["detail"] == f"{name}: Is not text in UTF-8, percent-encoded."
    read_problem(alice.get("/api/tasks?%FF=1"), 422, "%FF")
    assert read_tasks(alice.get("/api/tasks?search=%25FF")) == []


def test_an_invalid_query_without_a_token_is_401(alice: Caller) -> None:
    read_problem(alice.get("/api/tasks?stauts=x", headers={"Authorization": ""}), 401)

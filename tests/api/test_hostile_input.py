"""Any input gets a correct response or a 4xx, never a 500."""

import json
import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.callers import Caller, read_problem, read_task, read_tasks

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)
names = ["title", "description", "completed", "priority", "tags", "due_date", "id", "user_id", "x"]
objects = st.dictionaries(st.sampled_from(names), anything)
parameters = ["status", "completed", "priority", "tag", "due_before", "due_after", "search", "sort", "order", "limit"]
many = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@many
@given(body=objects)
def test_any_json_creates_a_task_or_is_refused(alice: Caller, body: dict[str, Any]) -> None:
    response = alice.post("/api/tasks", data=json.dumps(body), content_type="application/json")
    assert response.status_code in {201, 400, 422}, response.text


@many
@given(body=objects, method=st.sampled_from(["PUT", "PATCH"]), complete=st.booleans())
def test_any_json_changes_a_task_or_is_refused(
    alice: Caller, body: dict[str, Any], method: str, complete: bool
) -> None:
    path = f"/api/tasks/{alice.add()['id']}" + ("/complete" if complete else "")
    response = alice.call("PATCH" if complete else method, path, data=json.dumps(body), content_type="application/json")
    assert response.status_code in {200, 400, 422}, response.text


@many
@given(
    query=st.lists(
        st.tuples(
            st.sampled_from([*parameters, "cursor", "x"]), st.text(max_size=20) | st.sampled_from(["1", "title"])
        ),
        max_size=4,
    ),
    raw=st.binary(max_size=30),
)
def test_any_query_lists_or_is_refused(alice: Caller, query: list[tuple[str, str]], raw: bytes) -> None:
    encoded = "&".join(f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}" for name, value in query)
    assert alice.get(f"/api/tasks?{encoded}").status_code in {200, 400, 422}
    assert alice.get("/api/tasks", query_string=raw.decode("latin-1")).status_code in {200, 400, 422}


@many
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200))
def test_any_text_is_found_by_its_words(alice: Caller, text: str) -> None:
    title = f"x{text}"[:200].strip()
    task = alice.add(title, description=text)
    search = " ".join(title.split())[:200]
    for sort in ("created", "title"):
        found = read_tasks(alice.get("/api/tasks", query_string={"search": search, "sort": sort}))
        assert task in found


@many
@given(body=st.binary(max_size=200))
def test_any_bytes_are_refused_or_count_as_no_body(alice: Caller, body: bytes) -> None:
    response = alice.post("/api/tasks", data=body, content_type="application/json")
    assert response.status_code in {400, 422}, response.text


@many
@given(title=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=210))
def test_any_text_is_returned_unchanged_or_refused(alice: Caller, title: str) -> None:
    title += "x"  # A character that can be seen.
    response = alice.post("/api/tasks", json={"title": title})
    if 1 <= len(title.strip()) <= 200:
        task = read_task(response, 201)
        assert task["title"] == title.strip()
        assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task
    else:
        read_problem(response, 422, "title")


@many
@given(task_id=st.text(st.sampled_from(string.printable + "é\u0661\0\ud800"), min_size=1, max_size=30))
def test_any_text_as_an_id_is_404(alice: Caller, task_id: str) -> None:
    path = "/api/tasks/" + quote(task_id.encode("utf-8", "surrogatepass"), safe="")
    assert alice.get(path).status_code == 404


@pytest.mark.parametrize("digits", [20, 5000, 8000])
def test_an_id_of_thousands_of_digits_is_404(alice: Caller, digits: int) -> None:
    for method, end in (("GET", ""), ("PATCH", "/complete"), ("DELETE", "")):
        read_problem(alice.call(method, f"/api/tasks/{'1' * digits}{end}"), 404)


@pytest.mark.parametrize("header", ["If-None-Match", "X-Request-ID", "Origin", "Content-Type", "Accept", "Host"])
@pytest.mark.parametrize("value", ["", "*", '"', "\xff", "a" * 5000, '"1', '""', 'W/""', "W/", ", , ,"])
def test_unusual_headers_are_no_500(alice: Caller, header: str, value: str) -> None:
    path = f"/api/tasks/{alice.add()['id']}"
    assert alice.get(path, headers={header: value}).status_code in {200, 304, 400}

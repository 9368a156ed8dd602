"""Paths, methods and CORS: both paths of an operation, trailing slashes, HEAD, OPTIONS, 404 and 405."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.callers import Caller, read_problem, read_task, read_tasks

ORIGIN = "http://localhost:3000"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("prefix", ["/api/tasks", "/api/{user_id}/tasks"])
def test_every_operation_has_two_paths_with_optional_slash(alice: Caller, prefix: str, slash: str) -> None:
    tasks = prefix.format(user_id=alice.user_id)
    task = read_task(alice.post(tasks + slash, json={"title": "x"}), 201)
    path = f"{tasks}/{task['id']}"
    assert read_tasks(alice.get(tasks + slash)) == [task]
    assert read_task(alice.get(path + slash)) == task
    assert read_task(alice.put(path + slash, json={"title": "y"}))["title"] == "y"
    assert read_task(alice.patch(path + slash, json={"title": "z"}))["title"] == "z"
    assert read_task(alice.patch(path + "/complete" + slash))["completed"] is True
    assert alice.delete(path + slash).status_code == 204


@pytest.mark.parametrize("user_id", ["auth0|5f7c", "a/b", "a@b.example", "tasks/x", "ü 名", "100%", "?#&"])
def test_a_path_accepts_any_user_id(make_caller: Callable[..., Caller], user_id: str) -> None:
    caller = make_caller(user_id)
    task = caller.add()
    assert task in read_tasks(caller.get(f"/api/{quote(user_id, safe='')}/tasks/"))
    assert read_task(caller.get(f"/api/{quote(user_id, safe='')}/tasks/{task['id']}")) == task


def test_the_root_leads_to_the_documentation(app: Flask) -> None:
    response = app.test_client().get("/", headers={"X-Forwarded-Prefix": "/todo"})
    assert (response.status_code, response.headers["Location"]) == (302, "http://localhost/todo/api/docs")
    assert app.test_client().get("/", follow_redirects=True).status_code == 200


def test_location_is_the_short_path(alice: Caller) -> None:
    response = alice.post(f"/api/{alice.user_id}/tasks", json={"title": "x"})
    assert response.headers["Location"] == f"http://localhost/api/tasks/{read_task(response, 201)['id']}"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api//tasks", "/api/tasks//", "/tasks", "/x" * 500])
def test_an_unknown_path_is_404_without_a_redirect(alice: Caller, path: str) -> None:
    problem = read_problem(alice.get(path), 404)
    assert problem == read_problem(alice.get("/api/tasks/1000000000"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/tasks", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PUT", "/api/tasks", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/api/tasks/1", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}),
        ("GET", "/api/tasks/1/complete", {"OPTIONS", "PATCH", "POST", "PUT"}),
        ("GET", "/api/tasks/1/status", {"OPTIONS", "PATCH"}),
        ("PUT", "/api/tasks/changes", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/api/tasks/changes/", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/api/tasks/batch", {"OPTIONS", "POST"}),
        ("PATCH", "/api/trash", {"DELETE", "GET", "HEAD", "OPTIONS"}),
        ("GET", "/api/trash/1", {"DELETE", "OPTIONS"}),
        ("BREW", "/api/tasks", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_405_with_allow(alice: Caller, method: str, path: str, allowed: set[str]) -> None:
    response = alice.call(method, path)
    read_problem(response, 405)
    assert set(response.allow) == allowed


def test_head_is_get_without_the_body(alice: Caller) -> None:
    task = alice.add()
    for path in ("/api/tasks", f"/api/tasks/{task['id']}"):
        head, get = alice.call("HEAD", path), alice.get(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Length"] == get.headers["Content-Length"]
        assert head.headers.get("ETag") == get.headers.get("ETag")


def test_options_lists_the_methods_without_a_token(client: FlaskClient) -> None:
    response = client.options("/api/tasks/1")
    assert response.status_code == 200
    assert set(response.allow) == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}


def test_a_preflight_needs_no_token_and_is_cached_for_an_hour(client: FlaskClient) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, content-type, if-match, idempotency-key",
    }
    for path in ("/api/tasks/1", "/api/tasks/", "/api/somebody/tasks/1/complete", "/api/unknown"):
        response = client.options(path, headers=asked)
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Max-Age"] == "3600"
        allowed = response.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
        assert {"authorization", "content-type", "if-match", "idempotency-key"} <= set(allowed)


def test_options_of_an_unknown_path_is_404(client: FlaskClient) -> None:
    for headers in ({}, {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}):
        read_problem(client.options("/api/unknown", headers=headers), 404)


@pytest.mark.parametrize(("path", "status"), [("/api/tasks", 200), ("/api/tasks/1000000000", 404), ("/nothing", 404)])
def test_allowed_origins_may_read_responses_and_errors(alice: Caller, path: str, status: int) -> None:
    response = alice.get(path, headers={"Origin": ORIGIN})
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = {name.strip() for name in response.headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {
        "ETag", "Link", "Location", "Retry-After", "Allow", "WWW-Authenticate", "Idempotent-Replayed", "X-Request-ID",
    }  # fmt: skip


def test_other_origins_may_not_read_responses(alice: Caller) -> None:
    for origin in ("https://evil.example", "http://localhost:3001", "null", "http://localhost:3000.evil.example"):
        response = alice.get("/api/tasks", headers={"Origin": origin})
        assert response.headers.get("Access-Control-Allow-Origin") != origin
        assert response.headers.get("Access-Control-Allow-Origin") != "*"


def test_responses_are_not_cached_across_users(alice: Caller, client: FlaskClient) -> None:
    for response in (alice.get("/api/tasks"), alice.get("/api/tasks/1000000000"), client.get("/api/tasks")):
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert "authorization" in response.vary


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/tasks", 200),
        ("GET", "/api/tasks/1000000000", 404),
        ("OPTIONS", "/api/tasks", 200),
        ("PUT", "/api/tasks", 405),
        ("GET", "/nothing", 404),
        ("GET", "/healthz", 200),
        ("GET", "/api/openapi.json", 200),
    ],
)
def test_responses_have_security_headers(alice: Caller, method: str, path: str, status: int) -> None:
    response = alice.call(method, path)
    assert response.status_code == status
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert response.headers.getlist("Content-Security-Policy") == ["default-src 'none'; frame-ancestors 'none'"]
    assert response.headers.getlist("Referrer-Policy") == ["no-referrer"]

"""Slots: one user's requests leave half of them to others, and hold them until their responses are sent."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.support.callers import Caller, read_internal_problem, read_problem, read_task, read_tasks
from tests.support.databases import Database, closing_pool, wait_for_a_lock
from todo import create_app
from todo.slots import BURST_SECONDS, PLACES, PLACES_OF_USER, Slots

MakeCaller = Callable[..., Caller]
SECONDS = 1


@pytest.fixture
def small_app(database: Database) -> Iterator[Flask]:
    """An application with four slots, two for each user."""
    with closing_pool(create_app(database.settings(threads=4, pool_seconds=SECONDS))) as app:
        yield app


@pytest.fixture
def make_caller(small_app: Flask, database: Database) -> MakeCaller:
    return lambda user_id=None: Caller(small_app.test_client(), database.settings(), user_id)


@pytest.fixture
def slots(small_app: Flask) -> Slots:
    slots: Slots = small_app.extensions["slots"]
    return slots


def test_one_user_gets_half_of_the_slots(alice: Caller, bob: Caller, slots: Slots) -> None:
    assert [slots.try_take(alice.user_id) for _ in range(3)] == [True, True, False]
    started = time.monotonic()
    read_tasks(bob.get("/api/tasks"))
    assert time.monotonic() - started < SECONDS
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(alice.get, "/api/tasks", headers={"Origin": "http://localhost:3000"})
        time.sleep(SECONDS / 2)
        read_tasks(bob.get("/api/tasks"))
        refused = answer.result()
    assert SECONDS <= time.monotonic() - started < SECONDS + 1
    problem = read_problem(refused, 429)
    assert problem["code"] == "too_many_concurrent_requests"
    assert problem["detail"] == "Too many of your requests are running; try again in 1 second."
    assert refused.headers["Retry-After"] == "1"
    slots.release(alice.user_id)
    read_tasks(alice.get("/api/tasks"))


def test_requests_wait_for_a_slot(alice: Caller, slots: Slots) -> None:
    for _ in range(2):
        slots.try_take(alice.user_id)
    with ThreadPoolExecutor(9) as threads:
        creations = [threads.submit(alice.add, f"{number}") for number in range(9)]
        time.sleep(0.1)
        slots.release(alice.user_id)
        titles = {creation.result()["title"] for creation in creations}
    assert titles == {f"{number}" for number in range(9)}


def test_without_a_free_slot_a_request_is_503(alice: Caller, make_caller: MakeCaller, slots: Slots) -> None:
    for caller in (make_caller(), make_caller()):
        for _ in range(2):
            slots.try_take(caller.user_id)
    started = time.monotonic()
    refused = alice.get("/api/tasks")
    assert SECONDS <= time.monotonic() - started < SECONDS + 1
    read_internal_problem(refused, 503)
    assert refused.headers["Retry-After"] == "5"
    assert alice.get("/readyz").status_code == 503


def test_a_silent_database_is_503_for_a_user_with_many_requests(alice: Caller, slots: Slots) -> None:
    for _ in range(2):
        slots.try_take(alice.user_id)
    read_internal_problem(alice.get("/api/tasks"), 503)


def test_a_response_that_is_not_sent_keeps_its_slot(alice: Caller, slots: Slots) -> None:
    unsent = [alice.get("/api/tasks", buffered=False) for _ in range(2)]
    assert slots.has_all(alice.user_id)
    for response in unsent:
        response.close()
        assert not slots.has_all(alice.user_id)
    read_tasks(alice.get("/api/tasks"))


def test_every_kind_of_response_gives_its_slot_back(
    alice: Caller, small_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = alice.add()
    path = f"/api/tasks/{task['id']}"
    statuses = [
        alice.call("HEAD", path).status_code,
        alice.get(path, headers={"If-None-Match": task["etag"]}).status_code,
        alice.get("/api/tasks/0").status_code,
        alice.get("/api/tasks?limit=0").status_code,
        alice.get("/api/somebody else/tasks").status_code,
        alice.delete(path).status_code,
    ]
    assert statuses == [200, 304, 404, 422, 404, 204]
    view = small_app.view_functions["api.tasks.list_tasks"]
    monkeypatch.setitem(small_app.view_functions, "api.tasks.list_tasks", lambda: 1 / 0)
    assert alice.get("/api/tasks").status_code == 500
    monkeypatch.setitem(small_app.view_functions, "api.tasks.list_tasks", view)
    slots: Slots = small_app.extensions["slots"]
    assert [slots.try_take(each) for each in "aabb"] == [True] * 4


def test_requests_without_a_user_take_no_slot(small_app: Flask, make_caller: MakeCaller, slots: Slots) -> None:
    for caller in (make_caller(), make_caller()):
        for _ in range(2):
            slots.try_take(caller.user_id)
    client = small_app.test_client()
    started = time.monotonic()
    assert client.get("/healthz").status_code == 200
    assert client.options("/api/tasks").status_code == 200
    assert client.get("/api/tasks").status_code == 401
    assert time.monotonic() - started < SECONDS


def test_readers_of_the_documentation_share_half_of_the_slots(alice: Caller, small_app: Flask) -> None:
    client = small_app.test_client()
    unsent = [client.get("/api/docs/explorer.js", buffered=False) for _ in range(2)]
    assert client.get("/api/docs/explorer.js").status_code == 503
    read_tasks(alice.get("/api/tasks"))
    for response in unsent:
        response.close()
    assert client.get("/api/docs/explorer.js").status_code == 200


def test_with_one_thread_a_user_has_one_slot(database: Database) -> None:
    settings = database.settings(threads=1)
    with closing_pool(create_app(settings)) as app:
        read_task(Caller(app.test_client(), settings).post("/api/tasks", json={"title": "x"}), 201)
        slots: Slots = app.extensions["slots"]
        assert [slots.try_take(each) for each in "ab"] == [True, False]


def test_the_time_for_a_slot_is_part_of_the_time_limit(database: Database) -> None:
    settings = database.settings(threads=2, pool_seconds=2, statement_seconds=2, lock_seconds=9)
    with closing_pool(create_app(settings)) as app, ThreadPoolExecutor(1) as threads:
        alice = Caller(app.test_client(), settings)
        slots: Slots = app.extensions["slots"]
        slots.try_take(alice.user_id)
        with database.transaction() as execute:
            execute("LOCK TABLE todo.tasks")
            started = time.monotonic()
            answer = threads.submit(alice.get, "/api/tasks")
            time.sleep(1.5)
            slots.release(alice.user_id)
            wait_for_a_lock(execute)
            assert answer.result().status_code == 503
            assert 1.8 < time.monotonic() - started < 3


def test_those_who_cannot_be_served_in_time_are_refused_at_once() -> None:
    slots = Slots(1, 3)
    slots.try_take("nobody")
    with ThreadPoolExecutor(PLACES + 2) as threads:
        waiting = [threads.submit(slots.wait, number) for number in range(PLACES)]
        time.sleep(BURST_SECONDS / 5)
        beyond = threads.submit(slots.wait, "beyond")
        time.sleep(BURST_SECONDS * 1.2)
        started = time.monotonic()
        assert (beyond.result(), slots.wait("late")) == (False, False)
        assert time.monotonic() - started < BURST_SECONDS
        assert not any(each.done() for each in waiting)
        for owner in ("nobody", *range(PLACES - 1)):
            slots.release(owner)
        assert all(each.result() for each in waiting)


def test_one_user_takes_half_of_the_places_to_wait() -> None:
    slots = Slots(1, 0.5)
    slots.try_take("alice")
    with ThreadPoolExecutor(PLACES_OF_USER) as threads:
        waiting = [threads.submit(slots.wait, "alice") for _ in range(PLACES_OF_USER)]
        time.sleep(0.1)
        started = time.monotonic()
        assert not slots.wait("alice")
        assert time.monotonic() - started < 0.1
        assert not any(each.result() for each in waiting)
    slots.release("alice")
    assert slots.try_take("bob")

"""Public keys: fetched when needed, kept for a bounded time, and never slow for users with a known key."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread, Timer
from typing import Any

import pytest
from flask import Flask

from tests.support.callers import read_problem, read_tasks
from tests.support.jwks_server import KEY, NEW_KEY, Ask, KeyServer, SigningKey, read_unavailable, respond, wait_for
from todo.auth.jwks.cache import LIFETIME_SECONDS, PAUSE_SECONDS, REFRESH_SECONDS, TIMEOUT_SECONDS


class Clock:
    """The clock of the key cache."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("todo.auth.jwks.cache.monotonic", clock)
    return clock


def test_cache_times_match_the_documentation() -> None:
    assert (LIFETIME_SECONDS, REFRESH_SECONDS, PAUSE_SECONDS, TIMEOUT_SECONDS) == (600, 120, 5, 5)


def test_keys_are_fetched_once_when_a_token_needs_them(keys: KeyServer, ask: Ask) -> None:
    assert keys.asked == []
    for number in range(5):
        read_tasks(ask(sub=f"user {number}"))
    assert keys.asked == ["/api/auth/jwks"]


def test_threads_share_one_fetch(keys: KeyServer, ask: Ask) -> None:
    keys.delay = 0.3
    with ThreadPoolExecutor(6) as pool:
        for response in pool.map(lambda _: ask(), range(6)):
            read_tasks(response)
    assert len(keys.asked) == 1


def test_a_rotated_key_is_accepted_at_once_beside_the_listed_old(keys: KeyServer, ask: Ask) -> None:
    read_tasks(ask())
    keys.keys.append(NEW_KEY)
    read_tasks(ask(NEW_KEY))
    read_tasks(ask(KEY))
    assert len(keys.asked) == 2


def test_a_rotated_key_is_accepted_within_ten_seconds(keys: KeyServer, ask: Ask, clock: Clock) -> None:
    read_problem(ask(SigningKey()), 401)
    keys.keys.append(NEW_KEY)
    read_problem(ask(NEW_KEY), 401)
    clock.passed = 10
    read_tasks(ask(NEW_KEY))


def test_a_removed_key_is_refused_within_ten_minutes(keys: KeyServer, ask: Ask, clock: Clock) -> None:
    read_tasks(ask())
    keys.keys = [NEW_KEY]
    clock.passed = REFRESH_SECONDS - 1
    read_tasks(ask())
    clock.passed = 600
    read_problem(ask(), 401)


def test_a_busy_service_refuses_a_removed_key_sooner(keys: KeyServer, ask: Ask, clock: Clock) -> None:
    read_tasks(ask())
    keys.keys = [NEW_KEY]
    clock.passed = REFRESH_SECONDS
    read_tasks(ask())
    wait_for(lambda: ask().status_code == 401)


def test_a_remembered_token_expires_with_its_key(keys: KeyServer, jwks_app: Flask, ask: Ask) -> None:
    headers = {"Authorization": f"Bearer {KEY.sign()}"}
    read_tasks(jwks_app.test_client().get("/api/tasks", headers=headers))
    read_tasks(jwks_app.test_client().get("/api/tasks", headers=headers))
    keys.keys = [NEW_KEY]
    read_tasks(ask(NEW_KEY))
    read_problem(jwks_app.test_client().get("/api/tasks", headers=headers), 401)


def test_a_new_key_with_a_known_id_ends_the_old_tokens(keys: KeyServer, jwks_app: Flask, ask: Ask) -> None:
    headers = {"Authorization": f"Bearer {KEY.sign()}"}
    read_tasks(jwks_app.test_client().get("/api/tasks", headers=headers))
    impostor = SigningKey()
    impostor.kid = KEY.kid
    keys.keys = [impostor, NEW_KEY]
    read_tasks(ask(NEW_KEY))
    read_problem(jwks_app.test_client().get("/api/tasks", headers=headers), 401)
    read_tasks(ask(impostor))


def test_known_keys_work_for_a_time_while_the_endpoint_is_down(keys: KeyServer, ask: Ask, clock: Clock) -> None:
    read_tasks(ask())
    keys.answer = lambda request: respond(request, b"", 500)
    for clock.passed in (REFRESH_SECONDS, LIFETIME_SECONDS - 5):
        read_tasks(ask())
    read_unavailable(ask(NEW_KEY))
    clock.passed = LIFETIME_SECONDS
    read_unavailable(ask())
    keys.answer = keys.list_keys
    clock.passed += PAUSE_SECONDS
    read_tasks(ask())


def test_a_slow_endpoint_delays_no_user_with_a_known_key(keys: KeyServer, ask: Ask, clock: Clock) -> None:
    read_tasks(ask())
    keys.keys.append(NEW_KEY)
    keys.delay = 3
    clock.passed = REFRESH_SECONDS
    with ThreadPoolExecutor(8) as pool:
        newcomers = [pool.submit(ask, NEW_KEY) for _ in range(8)]
        wait_for(lambda: len(keys.asked) == 2)
        started = time.monotonic()
        for _ in range(20):
            read_tasks(ask())
        assert time.monotonic() - started < 1
        # Few threads may wait, so the other threads of a worker serve users with known keys.
        at_once = [newcomer for newcomer in newcomers if newcomer.done()]
        assert len(at_once) == 2
        for newcomer in newcomers:
            if newcomer in at_once:
                read_unavailable(newcomer.result())
            else:
                read_tasks(newcomer.result())
    assert len(keys.asked) == 2


def test_known_keys_work_when_no_thread_can_start(ask: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    read_tasks(ask())
    clock.passed = REFRESH_SECONDS
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        read_tasks(ask())
        read_unavailable(ask(NEW_KEY))
    clock.passed += PAUSE_SECONDS
    read_tasks(ask())


def test_a_fetch_without_its_timer_fails_at_once(ask: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Thread.start

    def refuse_timer(thread: Thread) -> None:
        if isinstance(thread, Timer):
            raise RuntimeError("can't start new thread")  # noqa: TRY004 - as Thread.start does
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse_timer)
        started = time.monotonic()
        read_unavailable(ask())
        assert time.monotonic() - started < 2
    clock.passed += PAUSE_SECONDS
    read_tasks(ask())


def test_a_stuck_dns_lookup_does_not_block_later_lookups(
    ask: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, look_up = Event(), socket.getaddrinfo

    def be_stuck(*values: Any, **options: Any) -> Any:
        found.wait(10)
        raise OSError("not found")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", be_stuck)
        patch.setattr("todo.auth.jwks.cache.TIMEOUT_SECONDS", 0.2)
        started = time.monotonic()
        read_unavailable(ask())
        assert time.monotonic() - started < 1
        patch.setattr(socket, "getaddrinfo", look_up)
        clock.passed = PAUSE_SECONDS
        wait_for(lambda: ask().status_code == 200)
        found.set()
    read_tasks(ask())


def test_a_hundred_unknown_keys_in_a_second_cause_few_fetches(keys: KeyServer, ask: Ask) -> None:
    read_tasks(ask())
    started = time.monotonic()
    for _ in range(100):
        read_problem(ask(SigningKey()), 401)
    assert time.monotonic() - started < PAUSE_SECONDS
    assert len(keys.asked) == 2


def test_a_failing_endpoint_is_retried_with_pauses(keys: KeyServer, ask: Ask, clock: Clock) -> None:
    keys.answer = lambda request: respond(request, b"", 502)
    for _ in range(20):
        assert "cannot be fetched" in read_unavailable(ask())["detail"]
    assert len(keys.asked) == 1
    clock.passed = PAUSE_SECONDS
    keys.answer = keys.list_keys
    read_tasks(ask())


def test_urls_in_a_token_are_never_requested(keys: KeyServer, jwks_app: Flask) -> None:
    with KeyServer(NEW_KEY) as attacker:
        named = {"jku": attacker.url, "x5u": attacker.url, "jwk": NEW_KEY.jwk, "kid": attacker.url}
        for kid in (KEY.kid, attacker.url):
            token = NEW_KEY.sign(named | {"kid": kid}, iss=f"http://127.0.0.1:{attacker.port}")
            response = jwks_app.test_client().get("/api/tasks", headers={"Authorization": f"Bearer {token}"})
            read_problem(response, 401)
        assert attacker.asked == []
    assert set(keys.asked) == {"/api/auth/jwks"}

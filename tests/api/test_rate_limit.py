"""The rate limit per user: 429 with Retry-After, and no effect on other users."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from flask import Flask

from tests.support.callers import Caller, read_problem, read_tasks
from tests.support.commands import free_port
from tests.support.databases import Database, closing_pool
from todo import create_app

MakeCaller = Callable[..., Caller]


@pytest.fixture
def limited(database: Database) -> Iterator[Callable[..., tuple[Flask, MakeCaller]]]:
    """Make an application with a limit, and clients that call it."""
    with ExitStack() as stack:

        def make(rate_limit: str | None, storage: str | None = None) -> tuple[Flask, MakeCaller]:
            settings = database.settings(rate_limit=rate_limit, rate_limit_storage=storage)
            app = stack.enter_context(closing_pool(create_app(settings)))
            return app, lambda user_id=None: Caller(app.test_client(), settings, user_id)

        yield make


def test_requests_over_the_limit_are_429_with_retry_after(limited: Callable[..., tuple[Flask, MakeCaller]]) -> None:
    _, make_caller = limited("3/minute")
    alice, bob = make_caller(), make_caller()
    for _ in range(3):
        read_tasks(alice.get("/api/tasks"))
    response = alice.get("/api/tasks", headers={"Origin": "http://localhost:3000"})
    problem = read_problem(response, 429)
    wait = int(response.headers["Retry-After"])
    assert 1 <= wait <= 60
    assert problem["detail"] == f"More than 3 per 1 minute; try again in {wait} seconds."
    assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
    read_problem(alice.post("/api/tasks", json={"title": ""}), 429)
    for _ in range(3):
        read_tasks(bob.get("/api/tasks"))


def test_the_user_may_continue_after_retry_after(limited: Callable[..., tuple[Flask, MakeCaller]]) -> None:
    _, make_caller = limited("2/second")
    alice = make_caller()
    while alice.get("/api/tasks").status_code == 200:
        pass
    time.sleep(int(alice.get("/api/tasks").headers["Retry-After"]))
    read_tasks(alice.get("/api/tasks"))


def test_a_clock_set_back_does_not_lengthen_retry_after(
    limited: Callable[..., tuple[Flask, MakeCaller]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, make_caller = limited("1/minute")
    alice = make_caller()
    read_tasks(alice.get("/api/tasks"))
    an_hour_ago = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)
    response = alice.get("/api/tasks")
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_requests_without_a_user_are_not_counted(limited: Callable[..., tuple[Flask, MakeCaller]]) -> None:
    app, make_caller = limited("2/minute")
    alice = make_caller()
    client = app.test_client()
    for _ in range(5):
        assert client.options("/api/tasks").status_code == 200
        assert client.get("/healthz").status_code == 200
        read_problem(client.get("/api/tasks"), 401)
    assert [alice.get("/api/tasks").status_code for _ in range(3)] == [200, 200, 429]


def test_the_rate_limit_can_be_off(limited: Callable[..., tuple[Flask, MakeCaller]]) -> None:
    _, make_caller = limited(None)
    alice = make_caller()
    assert {alice.get("/api/tasks/1").status_code for _ in range(700)} == {404}


@contextmanager
def serve_redis(port: int, folder: Path) -> Iterator[None]:
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, check=False).stdout:
                break
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_redis_shares_the_count_and_may_be_down(
    limited: Callable[..., tuple[Flask, MakeCaller]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    with serve_redis(port, tmp_path):
        callers = [limited("3/minute", url)[1]("shared") for _ in range(2)]
        answers = [caller.get("/api/tasks").status_code for caller in callers * 2]
        assert answers == [200, 200, 200, 429]
    started = time.monotonic()
    for _ in range(20):
        read_tasks(callers[0].get("/api/tasks"))
    assert time.monotonic() - started < 2
    assert len([message for message in caplog.messages if "not counted" in message]) == 1

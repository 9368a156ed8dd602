"""The system's clock is set back and forward while the service runs: only the exp of a token follows it."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from glob import glob
from pathlib import Path

import jwt
import pytest

from tests.support.clusters import wait_until
from tests.support.commands import ROOT, call, free_port, run, serve
from tests.support.databases import SECRET, Database, wait_for_a_lock
from tests.support.jwks_server import KEY, KeyServer

# libfaketime; apt-get install faketime.
LIBRARY = next(iter(glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)  # noqa: PTH207

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime")

HOUR = 3600
# libfaketime 0.9.10 refuses clock_nanosleep(2), which time.sleep calls, unless it sets the monotonic clock too.
SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""
# Waits for a connection of a busy pool, while the clock is set back.
WAIT = """
import sys, threading, time
from pathlib import Path
from config import Settings
from todo import create_app
from todo.extensions import db

def set_back():
    time.sleep(0.3)
    Path(sys.argv[1]).write_text("-3600")

with create_app(Settings.read({"NEON_DB_URL": sys.argv[2], "BETTER_AUTH_SECRET": sys.argv[3], "THREADS": "2",
                               "POOL_SECONDS": "1"})).app_context():
    busy = [db.engine.connect() for _ in range(2)]
    threading.Thread(target=set_back).start()
    started, at = time.monotonic(), time.time()
    try:
        db.engine.connect()
    except Exception as error:
        print(type(error).__name__, time.monotonic() - started < 3, time.time() - at < -3000)
"""


class Service:
    """A running service whose clock can be set, relative to the real time."""

    def __init__(self, port: int, clock: Path) -> None:
        self.port, self._clock = port, clock

    def set_clock(self, seconds: int) -> None:
        self._clock.write_text(f"{seconds:+}\n")

    def call(self, method: str = "GET", path: str = "/api/tasks", token: str | None = None) -> tuple[int, int]:
        """Return the status and Retry-After, or 0."""
        headers = {"Authorization": f"Bearer {token or sign()}", "Content-Type": "application/json"}
        body = json.dumps({"title": "x"}) if method == "POST" else None
        answer = call(self.port, method, path, body, **headers)
        return answer.status, int(answer.headers.get("Retry-After", 0))

    def statuses(self, method: str = "GET", times: int = 20) -> Counter[int]:
        with ThreadPoolExecutor(4) as pool:
            return Counter(status for status, _ in pool.map(lambda _: self.call(method), range(times)))


def sign(seconds: int = 24 * HOUR) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + seconds}, SECRET, "HS256")


def set_up_clock(folder: Path, seconds: int) -> dict[str, str]:
    """Return the environment of a process whose clock the file named "clock" sets."""
    (folder / "clock").write_text(f"{seconds:+}\n")
    (folder / "sitecustomize.py").write_text(SLEEP)
    return {
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@contextmanager
def serve_with_clock(database: Database, folder: Path, seconds: int = 0, **settings: str) -> Iterator[Service]:
    port, log = free_port(), folder / "log"
    service = Service(port, folder / "clock")
    environment = {
        **set_up_clock(folder, seconds),
        "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "WEB_CONCURRENCY": "1", "THREADS": "4",
        "WORKER_SECONDS": "5", **settings,
    }  # fmt: skip
    with serve(port, "--bind", f"127.0.0.1:{port}", settings=environment, log=log):
        yield service
        assert service.call(path="/healthz") == (200, 0)
    assert "TIMEOUT" not in log.read_text()


def find_connections(database: Database) -> list[tuple[int]]:
    return database.run(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid"
    )


def end_connections(database: Database) -> int:
    [(ended,)] = database.run(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(ended)


@pytest.mark.parametrize("step", [-40, -HOUR, HOUR])
def test_a_connection_lost_before_a_step_does_no_harm(own_database: Database, tmp_path: Path, step: int) -> None:
    with serve_with_clock(own_database, tmp_path) as service, ThreadPoolExecutor(4) as pool:
        assert service.statuses("POST") == {201: 20}
        with own_database.transaction() as execute:
            execute("LOCK TABLE todo.tasks")
            waiting = pool.submit(service.call, "POST")
            wait_for_a_lock(execute)
            ended = own_database.run(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            )
            assert ended == [(True,)]
            assert waiting.result()[0] == 503  # The connection was lost in use.
        service.set_clock(step)
        assert service.statuses("POST") == {201: 20}
        assert end_connections(own_database) > 0
        assert service.statuses() == {200: 20}
        service.set_clock(0)
        assert service.statuses("POST") == {201: 20}


def test_connections_are_kept_after_a_step(own_database: Database, tmp_path: Path) -> None:
    """SQLAlchemy itself compares the system's time, and would replace every connection for an hour."""
    with serve_with_clock(own_database, tmp_path) as service, ThreadPoolExecutor(1) as pool:
        assert service.statuses() == {200: 20}
        with own_database.transaction() as execute:
            execute("LOCK TABLE todo.alembic_version")
            waiting = pool.submit(service.call, path="/readyz")
            wait_for_a_lock(execute)
            own_database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            assert waiting.result()[0] == 503
        service.set_clock(-HOUR)
        assert service.statuses() == {200: 20}
        kept = find_connections(own_database)
        for _ in range(5):
            assert service.call(path="/readyz") == (200, 0)
        assert find_connections(own_database) == kept


def test_waiting_for_a_connection_ends_in_time(own_database: Database, tmp_path: Path) -> None:
    environment = set_up_clock(tmp_path, 0)
    waited = run(
        "python", "-c", WAIT, environment["FAKETIME_TIMESTAMP_FILE"], own_database.url(), SECRET, settings=environment
    )
    assert waited.stdout == "TimeoutError True True\n", waited.stderr


@pytest.mark.parametrize(("at_start", "later"), [(HOUR, 0), (0, -HOUR), (0, HOUR)])
def test_retry_after_is_at_most_the_window(own_database: Database, tmp_path: Path, at_start: int, later: int) -> None:
    with serve_with_clock(own_database, tmp_path, at_start, RATE_LIMIT="3/minute") as service:
        assert [service.call()[0] for _ in range(4)] == [200, 200, 200, 429]
        service.set_clock(later)
        status, wait = service.call()
        assert status == 429
        assert 50 <= wait <= 60


def test_keys_and_tokens_survive_a_step(own_database: Database, tmp_path: Path) -> None:
    with KeyServer(KEY) as keys:
        origin = f"http://127.0.0.1:{keys.port}"
        with serve_with_clock(own_database, tmp_path, BETTER_AUTH_URL=origin) as service:
            public = KEY.sign(iss=origin, aud=origin, iat=None, exp=time.time() + 24 * HOUR)
            short = sign(60)
            for step in (0, HOUR, -HOUR, 0):
                service.set_clock(step)
                assert service.call(token=public) == (200, 0)
                assert service.call(token=short)[0] == (401 if step == HOUR else 200)
            assert len(keys.asked) == 1


def test_an_unavailable_key_server_is_asked_again_in_time(own_database: Database, tmp_path: Path) -> None:
    keys = KeyServer(KEY)
    origin, port = f"http://127.0.0.1:{keys.port}", keys.port
    keys._server.server_close()  # noqa: SLF001
    public = KEY.sign(iss=origin, aud=origin, iat=None, exp=time.time() + 24 * HOUR)
    with serve_with_clock(own_database, tmp_path, HOUR, BETTER_AUTH_URL=origin) as service:
        status, wait = service.call(token=public)
        assert status == 503
        assert 1 <= wait <= 5
        service.set_clock(0)
        with KeyServer(KEY, port=port):
            wait_until(lambda: service.call(token=public)[0] == 200, 7)

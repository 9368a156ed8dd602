"""While the system allows no further thread, requests get a 503; afterwards the database is watched as before."""

import os
import resource
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from config import Settings
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database
from tests.support.wire import Wire
from todo.auth.tokens import issue_token

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to run as a user without processes"
)

HEADERS = {"Authorization": f"Bearer {issue_token(Settings(better_auth_secret=SECRET), 'alice', 3600)}"}
# The limit counts the processes and threads of a user, and does not apply to root. The capability opens this folder.
AS_USER = (
    "setpriv", "--reuid=61234", "--regid=61234", "--clear-groups",
    "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
)  # fmt: skip


def limit_threads(process: psutil.Process, most: int) -> None:
    subprocess.run([*AS_USER[:4], "prlimit", f"--pid={process.pid}", f"--nproc={most}:"], check=True)


def read(port: int) -> int:
    return call(port, "GET", "/api/tasks", **HEADERS).status


def test_the_watchdog_starts_after_a_lack_of_threads(own_database: Database, tmp_path: Path) -> None:
    port = free_port()
    with Wire(own_database.server.superuser_url) as wire:
        settings = {
            "BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": str(wire.settings(own_database).database_url),
            "WEB_CONCURRENCY": "1", "THREADS": "2", "STATEMENT_SECONDS": "1", "HOME": "/tmp",
        }  # fmt: skip
        arguments = ("--bind", f"127.0.0.1:{port}")
        with serve(port, *arguments, settings=settings, log=tmp_path / "log", prefix=AS_USER) as service:
            [worker] = psutil.Process(service.pid).children()
            # A worker needs one thread. Until then it has none.
            assert call(port, "GET", "/healthz").status == 200
            limit_threads(worker, 1)
            assert [read(port) for _ in range(3)] == [503, 503, 503]
            with ThreadPoolExecutor(20) as pool:
                assert set(pool.map(lambda _: call(port, "GET", "/healthz").status, range(100))) == {200}
            limit_threads(worker, resource.getrlimit(resource.RLIMIT_NPROC)[0])
            assert read(port) == 200
            wire.silence()
            started = time.monotonic()
            assert read(port) == 200
            assert 1 < time.monotonic() - started < 4
    assert "No thread could be started" in (tmp_path / "log").read_text()

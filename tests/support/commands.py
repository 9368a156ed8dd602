"""Run commands and the service as a user does, without the settings of this machine."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from click.testing import Result

from config import Settings, list_variables
from tests.support.databases import CITUS, closing_pool
from todo import create_app

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
SETTINGS = list_variables()


def make_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with exactly these settings.

    An empty variable counts as not set, and wins over ``.env``. PORT and WEB_CONCURRENCY are removed instead, because
    gunicorn reads them and fails on an empty value.
    """
    given = {name: value for name, value in os.environ.items() if name not in {"PORT", "WEB_CONCURRENCY"}}
    unset = dict.fromkeys((name for name in SETTINGS if name not in {"PORT", "WEB_CONCURRENCY"}), "")
    return given | unset | {"FLASK_SKIP_DOTENV": "1", "CITUS": CITUS, **settings}


def run(
    program: str, *arguments: str, settings: Mapping[str, str], cwd: Path = ROOT, seconds: int = 60
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the virtual environment to its end; ``seconds`` is the time it has."""
    return subprocess.run(
        [BIN / program, *arguments], cwd=cwd, env=make_environment(settings),
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip


@contextmanager
def start(program: str, *arguments: str, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Start a program of the virtual environment; kill it at the end, or after two minutes."""
    with subprocess.Popen(
        [BIN / program, *arguments], cwd=ROOT, env=make_environment(settings),
        text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        timer = threading.Timer(120, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def invoke(*arguments: str, settings: Mapping[str, str], answer: str = "") -> Result:
    """Run a flask command in this process, which is much faster than starting one. ``answer`` is its input."""
    with closing_pool(create_app(Settings.read({"CITUS": CITUS, **settings}))) as app:
        return app.test_cli_runner().invoke(args=arguments, input=answer)


def copy_service(folder: Path) -> None:
    """Copy the service into a folder, where it has no .env and its own embedded PostgreSQL."""
    for name in (
        "config.py",
        "config_database_url.py",
        "config_readers.py",
        "wsgi.py",
        "gunicorn.conf.py",
        ".flaskenv",
    ):
        shutil.copy(ROOT / name, folder)
    for name in ("todo", "server", "bootstrap", "embedded", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serve(
    port: int,
    *arguments: str,
    settings: Mapping[str, str],
    cwd: Path = ROOT,
    application: str = "wsgi:app",
    log: Path | None = None,
    prefix: Sequence[str] = (),
    host: str = "127.0.0.1",
    program: Sequence[str] = ("gunicorn",),
) -> Iterator["subprocess.Popen[str]"]:
    """Run gunicorn as the README does, and wait until it responds. Its output goes to the log file.

    ``prefix`` is a command that runs other commands, such as setpriv.
    """
    with log.open("w+") if log else TemporaryFile("w+") as output:
        service = subprocess.Popen(
            [*prefix, BIN / program[0], *program[1:], application, *arguments],
            cwd=cwd,
            env=make_environment(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            deadline = time.monotonic() + 30
            while service.poll() is None and time.monotonic() < deadline:
                try:
                    assert read_health(host, port) == 200
                except OSError:
                    time.sleep(0.05)
                else:
                    break
            else:
                service.kill()
                output.seek(0)
                raise AssertionError(f"the service does not start: {output.read()}")
            yield service
        finally:
            service.terminate()
            service.wait(30)


def read_health(host: str, port: int) -> int:
    """Return the status of GET /healthz."""
    with closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        connection.request("GET", "/healthz")
        return connection.getresponse().status


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]


def call(port: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    answer = Answer(response.status, json.loads(response.read()), dict(response.headers.items()))
    connection.close()
    return answer

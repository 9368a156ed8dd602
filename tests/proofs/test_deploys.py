"""A deploy drops no request: processes are replaced under load, with a migration in between."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.clusters import wait_until
from tests.support.commands import BIN, ROOT, call, free_port, make_environment, serve
from tests.support.databases import SECRET, Database
from tests.support.load import User, working_users
from tests.support.proxies import INSTALLED, nginx
from tests.support.releases import Release

ROUNDS = 3
# The tag of the previous release, once there are releases.
PREVIOUS = subprocess.run(
    ["git", "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"],
    cwd=ROOT, capture_output=True, text=True, check=False,
).stdout.strip()  # fmt: skip


@pytest.fixture
def release(empty_database: Database, tmp_path: Path) -> Release:
    return Release(tmp_path / "release", empty_database)


def test_a_reload_serves_the_next_release_and_drops_nothing(release: Release, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "2")
    with (
        serve(port, *arguments, settings=release.settings, cwd=release.folder, log=tmp_path / "log") as service,
        undisturbed(port),
    ):
        for _ in range(ROUNDS):
            release.ship()
            service.send_signal(signal.SIGHUP)
            release.wait_until_serving(port)


def test_a_restart_with_socket_activation_drops_nothing(release: Release, tmp_path: Path) -> None:
    """As systemd restarts the service (deploy/todo.socket): new connections wait in the socket."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        service = start_on(listener, release, tmp_path / "log")
        wait_until(lambda: call(port, "GET", "/readyz").status == 200)
        try:
            with undisturbed(port):
                for _ in range(ROUNDS):
                    release.ship()
                    service.terminate()
                    assert service.wait(15) == 0
                    service = start_on(listener, release, tmp_path / "log")
                    release.wait_until_serving(port)
        finally:
            service.terminate()
            service.wait(15)


@pytest.mark.skipif(not INSTALLED["nginx"], reason="nginx is not installed")
def test_two_services_behind_nginx_restart_without_drops(release: Release, tmp_path: Path) -> None:
    one, other = free_port(), free_port()
    upstream = (ROOT / "deploy" / "nginx-two.conf").read_text()
    changes = {
        "proxy_pass http://127.0.0.1:1;": "proxy_pass http://todo;",
        "rate=100r/s": "rate=10000r/s",  # All these users have one address.
        'map "$request_method': f'{upstream}map "$request_method',
        "10.0.0.1:8000": f"127.0.0.1:{one}",
        "10.0.0.2:8000": f"127.0.0.1:{other}",
    }

    def serving(port: int) -> AbstractContextManager[Any]:
        arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "1")
        return serve(port, *arguments, settings=release.settings, cwd=release.folder, log=tmp_path / f"log{port}")

    with nginx(1, tmp_path, changes) as proxy, ExitStack() as first, ExitStack() as second:
        for stack, port in ((first, one), (second, other)):
            stack.enter_context(serving(port))
        with undisturbed(proxy.port, proxy.certificate):
            release.ship()
            for stack, port in ((first, one), (second, other)):
                stack.close()
                stack.enter_context(serving(port))
                release.wait_until_serving(port)


@pytest.mark.parametrize("attempt", range(5))
def test_a_connection_opened_before_a_stop_gets_its_response(service: psutil.Process, port: int, attempt: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        time.sleep(0.002 * attempt)
        service.children()[0].terminate()
        time.sleep(0.3)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_silent_connections_do_not_keep_the_old_release_running(service: psutil.Process, port: int) -> None:
    old = service.children()
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        time.sleep(0.3)
        service.send_signal(signal.SIGHUP)
        wait_until(lambda: not any(worker.is_running() for worker in old), seconds=8)


@pytest.mark.skipif(not PREVIOUS, reason="there is no previous release")
def test_the_previous_release_works_on_todays_schema(database: Database, tmp_path: Path) -> None:
    folder, port = tmp_path / PREVIOUS, free_port()
    folder.mkdir()
    archive = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x"], cwd=folder, input=archive, check=True)
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "RATE_LIMIT": "off", "PORT": str(port)}
    with serve(port, settings=settings, cwd=folder, log=tmp_path / "log"), undisturbed(port):
        assert call(port, "GET", "/readyz").status == 200


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(database: Database, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    """The gunicorn master of one worker."""
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
    log = tmp_path_factory.mktemp("log") / "log"
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "1", settings=settings, log=log) as service:
        yield psutil.Process(service.pid)


@contextmanager
def undisturbed(port: int, certificate: Path | None = None) -> Iterator[None]:
    """Let users work, some with a new connection for each request, and check that all requests succeed."""
    done, newcomers = threading.Event(), [User(port, "newcomer", certificate) for _ in range(3)]
    threads = [threading.Thread(target=come_and_go, args=(user, done)) for user in newcomers]
    with working_users(port, certificate) as users:
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()
    everybody = [*users, *newcomers]
    print(f"{sum(sum(user.statuses.values()) for user in everybody)} answers, {users[0].lost} lost")
    assert [user.lost for user in everybody] == [0] * len(everybody)
    assert {status for user in everybody for status in user.statuses} == {200, 201}


def come_and_go(user: User, done: threading.Event) -> None:
    """Connect, wait for some milliseconds, send a request, and close the connection."""
    while not done.is_set():
        for milliseconds in (0, 1, 5, 20, 50):
            user.connect()
            time.sleep(milliseconds / 1000)
            user.call("GET", "/api/tasks?limit=1")
            user.hang_up()


def start_on(listener: socket.socket, release: Release, log: Path) -> "subprocess.Popen[bytes]":
    """Start the service as systemd does, with an open socket as file descriptor 3."""
    script = 'exec 3<&"$1"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$2/gunicorn" wsgi:app --workers 2'
    with log.open("a") as output:
        return subprocess.Popen(
            ["bash", "-c", script, "-", str(listener.fileno()), str(BIN)],
            cwd=release.folder, env=make_environment(release.settings),
            stdout=output, stderr=subprocess.STDOUT, pass_fds=[listener.fileno()],
        )  # fmt: skip

"""kill -HUP reloads the settings that can change at run time, or changes nothing."""

import json
import signal
import socket
from pathlib import Path

import psutil

from config import Settings
from tests.support.clusters import wait_until
from tests.support.commands import call, copy_service, free_port, run, serve
from tests.support.databases import SECRET, Database
from todo.auth.tokens import issue_token

OTHER_SECRET = "another-throwaway-secret-for-a-reload-0123456789"


def test_a_reload_applies_valid_settings_and_ignores_invalid_ones(database: Database, tmp_path: Path) -> None:
    port, secret, log = free_port(), tmp_path / "secret", tmp_path / "log"
    settings = {"BETTER_AUTH_SECRET_FILE": str(secret), "NEON_DB_URL": database.url()}

    def ask(key: str) -> int:
        token = issue_token(Settings(better_auth_secret=key), "alice", 600)
        return call(port, "GET", "/api/tasks", Authorization=f"Bearer {token}").status

    secret.write_text(SECRET)
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "1", settings=settings, log=log) as service:
        children = psutil.Process(service.pid).children
        assert (ask(SECRET), ask(OTHER_SECRET)) == (200, 401)
        secret.write_text(OTHER_SECRET)
        service.send_signal(signal.SIGHUP)
        wait_until(lambda: ask(OTHER_SECRET) == 200)
        assert ask(SECRET) == 401
        secret.write_text("short")
        service.send_signal(signal.SIGHUP)
        wait_until(lambda: "Not reloaded" in log.read_text())
        wait_until(lambda: log.read_text().count("Worker exiting") == 2 and len(children()) == 1)
        assert ask(OTHER_SECRET) == 200
        # A new worker must have the settings of the other workers.
        [worker] = children()
        worker.kill()
        wait_until(lambda: [worker] != children())
        wait_until(lambda: ask(OTHER_SECRET) == 200)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    users = [line["user"] for line in lines if line.get("status") == 200 and line.get("user")]
    named = [
        run("flask", "log-name", "alice", settings={"BETTER_AUTH_SECRET": key}).stdout.strip()
        for key in (SECRET, OTHER_SECRET)
    ]
    assert [users[0], users[-1]] == named
    [refusal] = [line["message"] for line in lines if "Not reloaded" in line["message"]]
    assert refusal.endswith("Error: BETTER_AUTH_SECRET has 5 bytes: at least 32 are needed")


def test_a_reload_of_broken_code_keeps_the_running_code(database: Database, tmp_path: Path) -> None:
    port, folder, log = free_port(), tmp_path / "service", tmp_path / "log"
    folder.mkdir()
    copy_service(folder)
    worker = folder / "server" / "worker.py"
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "1")
    with serve(port, *arguments, settings=settings, cwd=folder, log=log) as service:
        worker.write_text(worker.read_text() + "\n)\n")
        service.send_signal(signal.SIGHUP)
        wait_until(lambda: "Worker exiting" in log.read_text())
        assert call(port, "GET", "/healthz").status == 200
    assert "SyntaxError: unmatched ')' (worker.py, line" in log.read_text()


def test_a_failed_reload_of_gunicorn_keeps_the_service_running(database: Database, tmp_path: Path) -> None:
    port, folder, log = free_port(), tmp_path / "service", tmp_path / "log"
    folder.mkdir()
    copy_service(folder)
    (folder / ".env").write_text(f"PORT={port}\n")
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "WEB_CONCURRENCY": "1"}
    configuration = folder / "gunicorn.conf.py"
    valid = configuration.read_text()
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        serve(port, settings=settings, cwd=folder, log=log) as service,
    ):
        for failures, (path, text) in enumerate(
            ((configuration, valid + "1 / 0\n"), (folder / ".env", f"PORT={taken.getsockname()[1]}\n")), 1
        ):
            path.write_text(text)
            service.send_signal(signal.SIGHUP)
            wait_until(lambda failures=failures: log.read_text().count("Not reloaded") == failures, seconds=30)  # type: ignore[misc]
            assert service.poll() is None
            assert call(port, "GET", "/healthz").status == 200
            configuration.write_text(valid)

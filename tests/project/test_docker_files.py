"""Dockerfile and compose.yaml refer to existing files and settings. The proofs run their commands."""

import re
import subprocess
from typing import Any

import pytest

from config import Settings
from tests.support.commands import BIN, ROOT, SETTINGS
from tests.support.databases import SECRET
from tests.support.docker_files import is_ignored, list_context, list_variables, read_compose, read_dockerfile

HADOLINT = BIN / "hadolint"
DOCKERFILE = read_dockerfile(ROOT / "Dockerfile")
EXACT = re.compile(r":\d+\.\d+[\d.]*-[\w-]+$")
PASSWORDS = {"POSTGRES_PASSWORD": "p1", "TODO_OWNER_PASSWORD": "p2", "TODO_WEB_PASSWORD": "p3"}


@pytest.fixture
def compose() -> Any:
    return read_compose(PASSWORDS)


@pytest.mark.parametrize("secret", [".env", ".git/config", "instance/postgres/password", "todo/__pycache__/x.pyc"])
def test_the_image_contains_no_private_files(secret: str) -> None:
    assert is_ignored(secret)


def test_the_image_contains_what_the_service_needs() -> None:
    sources = [source for each in DOCKERFILE if each.name == "COPY" for source in each.words[:-1]]
    assert [source for source in sources if not list(list_context(source))] == []
    copied = {str(path) for source in sources for path in list_context(source)}
    service = {"config.py", "wsgi.py", "gunicorn.conf.py", "migrations/env.py", "todo/__init__.py", "server/worker.py"}
    assert service <= copied
    assert not any(path.startswith(("tests", "docs", "bench", ".git")) for path in copied)


def test_the_image_runs_without_root_and_without_a_shell() -> None:
    said = {each.name: each.text for each in DOCKERFILE}
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["USER"])
    assert said["CMD"].startswith("[")
    assert said["HEALTHCHECK"].startswith("[")
    assert "curl" not in said["HEALTHCHECK"]


def test_compose_variables_are_settings_and_hold_no_secrets(compose: Any) -> None:
    for name in ("todo", "migrate"):
        assert set(compose["services"][name]["environment"]) <= set(SETTINGS)
    for each in DOCKERFILE:
        assert not (each.name in {"ENV", "ARG"} and re.search("SECRET|PASSWORD|URL", each.text))
    assert list_variables() - set(SETTINGS) == set(PASSWORDS)
    with pytest.raises(KeyError, match="PASSWORD"):
        read_compose({})


def test_every_setting_in_env_reaches_the_service(compose: Any) -> None:
    assert set(SETTINGS) - set(compose["services"]["todo"]["environment"]) == {
        "NEON_DB_URL",
        "MIGRATION_DATABASE_URL",  # The service must not have it.
    }


def test_the_compose_settings_are_valid(compose: Any) -> None:
    for name, login in (("todo", "todo_web"), ("migrate", "todo_owner")):
        settings = Settings.read(compose["services"][name]["environment"] | {"BETTER_AUTH_SECRET": SECRET})
        assert str(settings.database_url).startswith(f"postgresql://{login}:")


def test_the_service_starts_after_the_migration_and_may_drain(compose: Any) -> None:
    services = compose["services"]
    assert services["todo"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["migrate"]["restart"] == "no"
    grace = int(services["todo"]["stop_grace_period"].removesuffix("s"))
    assert grace > int(services["todo"]["environment"]["WORKER_SECONDS"])
    for service in services.values():
        for source in [volume.split(":")[0] for volume in service.get("volumes", ())]:
            assert (ROOT / source).is_file() or source in compose["volumes"]
        if "build" in service:
            assert (ROOT / service["build"] / "Dockerfile").is_file()
            assert service["read_only"]
            assert service["tmpfs"] == ["/tmp"]


def test_compose_limits_each_container_and_names_exact_images(compose: Any) -> None:
    for service in compose["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] <= 256
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
        assert "build" in service or EXACT.search(service["image"])
    for name in ("Dockerfile", "deploy/pgbouncer/Dockerfile"):
        assert [each.name for each in read_dockerfile(ROOT / name) if EXACT.search(each.text)] == ["FROM"]


def test_the_trial_needs_no_settings_and_only_this_machine_reaches_it() -> None:
    services = read_compose({}, "compose.try.yaml")["services"]
    assert services["todo"]["ports"] == ["127.0.0.1:8000:8000"]
    assert "ports" not in services["postgres"]
    names = {name.removesuffix("_FILE") for name in services["todo"]["environment"]}
    assert names <= set(SETTINGS)
    assert services["postgres"]["image"] == read_compose(PASSWORDS)["services"]["postgres"]["image"]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")
@pytest.mark.parametrize("name", ["Dockerfile", "deploy/pgbouncer/Dockerfile"])
def test_hadolint_reports_nothing(name: str) -> None:
    done = subprocess.run([HADOLINT, ROOT / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")

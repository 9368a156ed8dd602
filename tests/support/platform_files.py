"""Read what the files of the platforms say about the service: commands, checks, seconds and variables."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.commands import ROOT

# A command without a shell, in which case it is started directly.
WORD = re.compile(r"[\w.:-]+")


class Platform(NamedTuple):
    """The commands are None if the platform has none of its own."""

    migrate: list[str] | None
    start: list[str] | None
    check: str
    stop_seconds: int
    variables: dict[str, str | None]  # None: a secret that is entered at the platform


def read_platforms() -> dict[str, Platform]:
    """Return what each file says, by its name."""
    return {
        "render.yaml": read_render(ROOT / "render.yaml"),
        "deploy/render-free.yaml": read_render(ROOT / "deploy" / "render-free.yaml"),
        "fly.toml": read_fly(),
        ".railway/railway.ts": read_railway(),
    }


def read_render(path: Path) -> Platform:
    [service] = yaml.safe_load(path.read_text())["services"]
    variables = {each["key"]: each.get("value") for each in service["envVars"]}
    stop = service.get("maxShutdownDelaySeconds", 30)  # https://render.com/docs/blueprint-spec
    migrate, start = (split(service.get(name)) for name in ("preDeployCommand", "dockerCommand"))
    return Platform(migrate, start, service["healthCheckPath"], stop, variables)


def read_fly() -> Platform:
    settings: Any = tomllib.loads((ROOT / "fly.toml").read_text())
    assert settings["kill_signal"] == "SIGTERM"
    assert settings["http_service"]["internal_port"] == int(settings["env"]["PORT"])
    [check] = settings["http_service"]["checks"]
    secrets = dict.fromkeys(("DATABASE_URL", "MIGRATION_DATABASE_URL", "BETTER_AUTH_URL", "CORS_ORIGINS"))
    migrate = split(settings["deploy"]["release_command"])
    return Platform(migrate, None, check["path"], settings["kill_timeout"], secrets | settings["env"])


def read_railway() -> Platform:
    """Read the literals of the TypeScript file."""
    text = (ROOT / ".railway" / "railway.ts").read_text()
    literals = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+): (?:"([^"]*)"|([\w()]+))', text)}
    variables: dict[str, str | None] = {name: None for name, value in literals.items() if value == "preserve()"}
    return Platform(
        split(literals["preDeploy"]), None, literals["healthcheck"], int(literals["drainingSeconds"]),
        variables | {"WEB_CONCURRENCY": literals["WEB_CONCURRENCY"]},
    )  # fmt: skip


def read_procfile() -> dict[str, list[str]]:
    """Return the command of each process type."""
    lines = (line.partition(":") for line in (ROOT / "Procfile").read_text().splitlines())
    return {name: shlex.split(command) for name, _, command in lines}


def split(command: str | None) -> list[str] | None:
    """Split a command that needs no shell."""
    if command is None:
        return None
    words = command.split()
    assert all(WORD.fullmatch(word) for word in words), command
    return words

"""Dockerfile, .dockerignore and compose.yaml, read as Docker reads them, where there is no Docker to do it."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.commands import ROOT

VARIABLE = re.compile(r"\$\{(\w+)(?::?([-?])([^}]*))?\}")


class Instruction(NamedTuple):
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """A command in exec form, else the words without the options."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return [word for word in shlex.split(self.text) if not word.startswith("--")]


def read_dockerfile(path: Path) -> list[Instruction]:
    """The instructions, each on one line and without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [Instruction(*line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]
    options = re.compile(r"^((?:--\S+ )*)CMD ")
    return [
        Instruction(each.name, options.sub("", each.text)) if each.name == "HEALTHCHECK" else each for each in found
    ]


def is_ignored(name: str, ignore_file: Path = ROOT / ".dockerignore") -> bool:
    """Whether a path gets no further than the context: the last rule that fits it, or a folder above it, decides."""
    parts = name.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    ignored = False
    for line in ignore_file.read_text().splitlines():
        rule = line.strip()
        if rule and not rule.startswith("#"):
            pattern = re.escape(rule.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, path) for path in above):
                ignored = not rule.startswith("!")
    return ignored


def list_context(source: str) -> Iterator[Path]:
    """The files of the repository that a COPY of this source takes, relative to it."""
    top = ROOT / source
    for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
        name = str(path.relative_to(ROOT))
        if path.is_file() and not is_ignored(name):
            yield path.relative_to(ROOT)


def read_compose(variables: Mapping[str, str]) -> Any:
    """compose.yaml with these variables filled in; raises KeyError for one that has to be set and is not."""

    def fill(match: "re.Match[str]") -> str:
        name, kind, default = match.groups()
        if variables.get(name):
            return variables[name]
        if kind == "-":
            return str(default)
        raise KeyError(name)

    def fill_all(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill_all(part) for name, part in value.items()}
        if isinstance(value, list):
            return [fill_all(part) for part in value]
        return VARIABLE.sub(fill, value) if isinstance(value, str) else value

    return fill_all(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def list_variables() -> set[str]:
    """The variables that compose.yaml takes."""
    return {name for name, _, _ in VARIABLE.findall((ROOT / "compose.yaml").read_text())}

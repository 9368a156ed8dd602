"""Read Dockerfile, .dockerignore and compose.yaml as Docker does, without Docker."""

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
        """The words of a command in exec form, or the words without the options."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return [word for word in shlex.split(self.text) if not word.startswith("--")]


def read_dockerfile(path: Path) -> list[Instruction]:
    """Return the instructions of a Dockerfile, each on one line and without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [Instruction(*line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]
    options = re.compile(r"^((?:--\S+ )*)CMD ")
    return [
        Instruction(each.name, options.sub("", each.text)) if each.name == "HEALTHCHECK" else each for each in found
    ]


def is_ignored(name: str, ignore_file: Path = ROOT / ".dockerignore") -> bool:
    """Return whether .dockerignore excludes a path. The last rule that matches it or a parent folder decides."""
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
    """Yield the files of the repository that COPY takes for this source, relative to the repository."""
    top = ROOT / source
    for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
        name = str(path.relative_to(ROOT))
        if path.is_file() and not is_ignored(name):
            yield path.relative_to(ROOT)


def read_compose(variables: Mapping[str, str], name: str = "compose.yaml") -> Any:
    """Return the file with these variables. Raises KeyError for a required variable that is missing."""

    def fill(match: "re.Match[str]") -> str:
        variable, kind, default = match.groups()
        if variables.get(variable):
            return variables[variable]
        if kind == "-":
            return str(default)
        raise KeyError(variable)

    def fill_all(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill_all(part) for name, part in value.items()}
        if isinstance(value, list):
            return [fill_all(part) for part in value]
        return VARIABLE.sub(fill, value) if isinstance(value, str) else value

    return fill_all(yaml.safe_load((ROOT / name).read_text()))


def list_variables() -> set[str]:
    """Return the variables that compose.yaml reads."""
    return {name for name, _, _ in VARIABLE.findall((ROOT / "compose.yaml").read_text())}

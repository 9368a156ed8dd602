"""Add a field to a copy of the repository as docs/develop.md says, while flask run --debug serves the copy."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.clusters import wait_until
from tests.support.commands import ROOT, call, free_port, make_environment
from tests.support.databases import SECRET, Database

TYPES = ROOT / "examples" / "nextjs" / "node_modules" / ".bin" / "openapi-typescript"
# What `make document` does, in a copy that has neither a virtual environment of its own nor the packages of npm.
# Each changed file restarts the service.
PROLOGUE = f"""
curl() {{ command curl --retry 5 --retry-all-errors "$@"; }}
make() {{
  [ "$*" = document ] || return 0
  .venv/bin/flask openapi > docs/openapi.json
  [ ! -x '{TYPES}' ] || '{TYPES}' docs/openapi.json --output examples/nextjs/lib/api-types.ts 2>&1
}}
"""


class Block(NamedTuple):
    """A code block of the page, and the paragraph before it."""

    before: str
    kind: str
    code: str


def read_blocks(heading: str) -> list[Block]:
    """Return the code blocks of a section."""
    section = (ROOT / "docs" / "develop.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"((?:^[^\n`][^\n]*\n)*)\n?^```(\w+)\n(.*?)^```\n", section, re.MULTILINE | re.DOTALL)
    assert found
    return [Block(*each) for each in found]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that git has or would add."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def environment(own_database: Database, port: int) -> dict[str, str]:
    given = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url(), "FLASK_RUN_PORT": str(port)}
    tests = own_database.server.superuser_url.render_as_string(hide_password=False)
    return make_environment(given | {"FLASK_APP": "wsgi:app", "TEST_DATABASE_URL": tests})


@pytest.fixture
def serving(copy: Path, environment: dict[str, str], port: int) -> Iterator[Path]:
    """The log of flask run --debug."""
    [command] = re.findall(r"^\.venv/bin/(flask run --debug)\b", read_blocks("The loop")[0].code, re.MULTILINE)
    log = copy.parent / "flask.log"
    with log.open("w") as output:
        program, *arguments = command.split()
        service = subprocess.Popen(
            [copy / ".venv" / "bin" / program, *arguments], cwd=copy, env=environment,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    yield log
    subprocess.run(["kill", "--", f"-{service.pid}"], check=True)
    service.wait(10)


def execute(script: str, copy: Path, environment: dict[str, str], port: int) -> str:
    """Run commands of the page and return what they print."""
    commands = script.replace("localhost:8000", f"localhost:{port}")
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", PROLOGUE + commands], cwd=copy, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def patch(copy: Path, difference: str) -> None:
    """Change a file as a block says: each part, between lines with @@, is in the file once."""
    first, _, rest = difference.partition("\n")
    path = copy / first.removeprefix("--- ")
    content = path.read_text()
    for part in rest.split("@@\n"):
        lines = part.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
        assert content.count(before) == 1, f"{path.name} does not have these lines once:\n{before}"
        content = content.replace(before, after)
    path.write_text(content)


def is_pinned(port: int) -> bool:
    """Return whether flask run serves the new field; a response can be cut off when it restarts."""
    try:
        return "pinned" in str(call(port, "GET", "/api/openapi.json").body)
    except (OSError, HTTPException, ValueError):
        return False


def test_the_steps_of_the_page_add_a_field(copy: Path, environment: dict[str, str], port: int, serving: Path) -> None:
    wait_until(lambda: "Debugger is active" in serving.read_text(), 30)
    printed = execute(read_blocks("The loop")[1].code, copy, environment, port)
    assert printed.startswith("[]")
    [example] = [code for _, kind, code in read_blocks("Tests") if kind == "python"]
    assert 'Table "todo.tasks"' in printed
    for before, kind, code in read_blocks("Add a field to a task"):
        if kind == "diff":
            patch(copy, code)
        elif kind == "python":
            [name] = re.findall(r"`(\S+\.py)`", before)[:1]
            draft = (copy / name).read_text().partition("def upgrade()")[0] if (copy / name).exists() else ""
            (copy / name).write_text(draft + code + (f"\n\n{example}" if "/test_" in name else ""))
        else:
            wait_until(lambda: is_pinned(port), 30)
            printed = execute(code, copy, environment, port)
    assert '"title":"Read the docs"' in printed
    assert '"pinned":true' in printed
    if TYPES.exists():
        assert "pinned?: boolean" in (copy / "examples" / "nextjs" / "lib" / "api-types.ts").read_text()

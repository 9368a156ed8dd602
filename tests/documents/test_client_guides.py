"""Run the programs of the guides for clients against the service, and compare what they print with the guides."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.commands import ROOT, call, free_port, make_environment, run, serve
from tests.support.databases import SECRET, Database

LIB = ROOT / "examples" / "nextjs" / "lib"
# The codes of the example itself, and of its client.
OWN = {"account_unreachable", "other_user", "page_error", "session_ended", "unreachable"}


def read_block(page: str, kind: str) -> str:
    """Return the first code block of this kind on a page."""
    found = re.search(rf"^```{kind}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def read_output(page: str, program: str) -> str:
    """Return what the page says that its program prints."""
    found = re.search(rf"^\$ .*{program}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def caller(request: pytest.FixtureRequest, own_database: Database) -> Iterator[dict[str, str]]:
    """Serve lists in a format. Return an environment with the service's address and a user's token."""
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url(), "LIST_FORMAT": request.param}
    token = run("flask", "token", "--user", "alice", settings=settings).stdout.strip()
    with serve(port, "--workers", "1", settings=settings | {"PORT": str(port)}):
        yield make_environment({"API_URL": f"http://localhost:{port}", "TOKEN": token})


def execute(*command: str, cwd: Path, environment: dict[str, str]) -> str:
    """Run a program to its end and return its output."""
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("caller", ["object"], indirect=True)
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_node_runs_the_client_without_a_bundler(caller: dict[str, str], tmp_path: Path) -> None:
    shutil.copy(LIB / "api.mjs", tmp_path)
    (tmp_path / "tasks.mjs").write_text(read_block("connect-frontend.md", "js"))
    printed = execute("node", "tasks.mjs", cwd=tmp_path, environment=caller)
    assert printed == read_output("connect-frontend.md", "node tasks.mjs")


@pytest.mark.parametrize("caller", ["array"], indirect=True)
def test_python_creates_changes_and_lists_tasks(caller: dict[str, str], tmp_path: Path) -> None:
    program = read_block("connect-python.md", "python")
    assert program.count('"limit": 100') == 1
    (tmp_path / "tasks.py").write_text(program.replace('"limit": 100', '"limit": 1'))  # So that there are pages.
    port = int(caller["API_URL"].rpartition(":")[2])
    for title in ("Pay the rent", "Call Grandma"):
        body = f'{{"title": "{title}"}}'
        headers = {"Authorization": f"Bearer {caller['TOKEN']}", "Content-Type": "application/json"}
        assert call(port, "POST", "/api/tasks", body, **headers).status == 201
    printed = execute(sys.executable, "tasks.py", cwd=tmp_path, environment=caller)
    assert printed == read_output("connect-python.md", "python tasks.py")


def test_everything_that_the_client_exports_is_documented() -> None:
    source = (LIB / "api.ts").read_text()
    lines = source.splitlines()
    assert [line for before, line in pairwise(lines) if line.startswith("export ") and not before.endswith("*/")] == []
    methods = source.partition("const api = {")[2].partition("\n  };")[0]
    functions = re.findall(r"^    (?:async \*?)?(\w+)[(:]", methods, re.MULTILINE)
    assert len(functions) == 14
    functions += re.findall(r"^export function (\w+)", source, re.MULTILINE)
    page = (ROOT / "docs" / "connect-frontend.md").read_text()
    assert [name for name in functions if f"{name}(" not in page] == []


def test_the_example_explains_only_documented_codes() -> None:
    explained = set(re.findall(r"^  (\w+): \"", (LIB / "words.ts").read_text(), re.MULTILINE))
    documented = set(
        re.findall(r"^\| \d{3} \|.*?\| `(\w+)` \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    )
    assert explained - documented == OWN
    assert len(explained) > 10


def test_the_guides_name_the_tested_versions() -> None:
    packages: dict[str, str] = {}
    for folder in ("examples/nextjs", "tests/frontend"):
        package = json.loads((ROOT / folder / "package.json").read_text())
        packages |= package.get("dependencies", {}) | package["devDependencies"]
    tested = {
        "connect-nextjs.md": {"Next.js": "next", "React": "react", "Better Auth": "better-auth"},
        "offline-sync.md": {"RxDB": "rxdb", "TanStack DB": "@tanstack/db"},
        "connect-tanstack-query.md": {"version": "@tanstack/react-query", "React": "react"},
    }
    for guide, names in tested.items():
        text = " ".join((ROOT / "docs" / guide).read_text().split())
        for name, package in names.items():
            assert f"{name} {packages[package].rpartition('.')[0]}" in text

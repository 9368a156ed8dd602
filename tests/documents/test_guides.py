"""Run the commands of each guide in order against the service, and check the documented status of each."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import BIN, ROOT, free_port, make_environment, serve
from tests.support.databases import SECRET, Database

GUIDES = ("api.md", "finding-tasks.md", "recurring-tasks.md", "writing-safely.md")
# Prints the status of each response, in order.
PROLOGUE = """
curl() { command curl -w '%{stderr}%{http_code}\\n' "$@"; }
"""
CALL = re.compile(r"^(?:TOKEN=\S+ |\w+=\$\()?(?:api|curl) .*?(?:# (\d{3})\b.*)?$")


def list_commands(guide: str) -> list[str]:
    """Return the lines of the guide's bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs" / guide).read_text(), re.MULTILINE | re.DOTALL)
    return "".join(blocks).splitlines()


@pytest.mark.parametrize("name", GUIDES)
def test_every_call_of_a_guide_returns_the_documented_status(name: str, own_database: Database, tmp_path: Path) -> None:
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": own_database.url(), "PORT": str(port)}
    commands = list_commands(name)
    # The other guides use the variables that api.md sets.
    script = "\n".join([PROLOGUE, *list_commands("api.md")[:2], *commands])
    script = script.replace("localhost:8000", f"localhost:{port}")
    script = script.replace(".venv/bin/flask", shlex.join([f"{BIN}/flask", "--app", f"{ROOT}/wsgi"]))
    with serve(port, "--workers", "1", settings=settings):
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=make_environment(settings),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    calls = [(line, found[1]) for line in commands if (found := CALL.match(line))]
    answered = [line for line in done.stderr.splitlines() if re.fullmatch(r"\d{3}", line)]
    assert len(calls) > 2
    assert [line for line in done.stderr.splitlines() if line not in answered] == []
    assert len(answered) == len(calls)
    wrong = [
        f"{line} answered {status}"
        for (line, said), status in zip(calls, answered, strict=True)
        if not (status == said if said else status.startswith("2"))
    ]
    assert wrong == []

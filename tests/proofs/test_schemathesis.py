"""Schemathesis generates thousands of requests from the OpenAPI document and checks every response.

The requests are valid and invalid, single and in sequences, from the owner of the tasks, from another user, and without
a token.
"""

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis.specs.openapi.checks  # The import registers the checks.

from config import Settings
from tests.support.commands import BIN, ROOT, free_port, serve
from tests.support.databases import SECRET, Database
from todo.auth.tokens import issue_token

# Another seed generates other requests.
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "1"))
REPEAT = f"To repeat: SCHEMATHESIS_SEED={SEED} .venv/bin/pytest tests/proofs/test_schemathesis.py"
# Two concurrent runs, one per core, each with an owner and another user. The document's examples belong to alice.
PEOPLE = [("alice", "bob"), ("carol", "dave")]


@dataclass
class Trial:
    """The requests of all runs, and their responses."""

    failures: list[str] = field(default_factory=list)
    cases: Counter[str] = field(default_factory=Counter)
    checks: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    successes: Counter[str] = field(default_factory=Counter)

    def read(self, report: Path) -> None:
        """Add the report of a run, which has one event per line."""
        events = [json.loads(line) for line in report.read_bytes().splitlines()]
        for scenario in (event["ScenarioFinished"] for event in events if "ScenarioFinished" in event):
            recorder = {"cases": {}, "checks": {}, "interactions": {}, **scenario["recorder"]}
            self.cases[scenario["phase"]] += len(recorder["cases"])
            self.checks |= {check["name"] for checks in recorder["checks"].values() for check in checks}
            for name, interaction in recorder["interactions"].items():
                self._count(recorder["cases"].get(name), interaction["response"]["status_code"])

    def _count(self, case: Any, status: int) -> None:
        """Count a response. A check's own request has no case."""
        self.statuses[status] += 1
        if case and status < 300:
            self.successes[f"{case['value']['method']} {case['value']['path']}"] += 1


@pytest.fixture(scope="module")
def trial(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder, port, trial = tmp_path_factory.mktemp("schemathesis"), free_port(), Trial()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web"), "RATE_LIMIT": "off"}
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "2", settings=settings, log=folder / "service.log"):
        runs = [start(port, folder / owner, SEED + n, owner, other) for n, (owner, other) in enumerate(PEOPLE)]
        outputs = [run.communicate()[0] for run in runs]
    trial.failures = [output for run, output in zip(runs, outputs, strict=True) if run.returncode != 0]
    for report in folder.glob("*.ndjson"):
        trial.read(report)
    print(f"\n{sum(trial.cases.values())} cases, {dict(trial.cases)}, answers {dict(sorted(trial.statuses.items()))}")
    return trial


def start(port: int, path: Path, seed: int, owner: str, other: str) -> "subprocess.Popen[str]":
    """Start a run, which writes its report beside the path."""
    people = path.with_suffix(".json")
    people.write_text(json.dumps({"auth": [write_login("owner", owner), write_login("other", other)]}))
    return subprocess.Popen(
        [
            BIN / "schemathesis", "--config-file", Path(__file__).with_name("schemathesis.toml"),
            "run", f"http://127.0.0.1:{port}/api/openapi.json", "--seed", str(seed), "--no-color",
            "--report-ndjson-path", path.with_suffix(".ndjson"),
        ],
        cwd=ROOT, env={**os.environ, "PEOPLE": str(people)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def write_login(name: str, user_id: str) -> dict[str, Any]:
    """Return a user in the format of Schemathesis (Web Fuzzing Commons)."""
    token = issue_token(Settings(better_auth_secret=SECRET), user_id, 3600)
    return {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}


def test_every_response_matches_the_document(trial: Trial) -> None:
    assert not trial.failures, "\n".join([*trial.failures, REPEAT])


def test_all_checks_ran_on_ten_thousand_cases_in_all_phases(trial: Trial) -> None:
    assert sum(trial.cases.values()) >= 10_000, REPEAT
    assert min(trial.cases[phase] for phase in ("examples", "coverage", "fuzzing", "stateful")) >= 50, REPEAT
    assert trial.checks == set(schemathesis.checks.CHECKS.get_all_names())
    assert len(trial.checks) >= 14


def test_every_kind_of_status_occurred(trial: Trial) -> None:
    assert set(trial.statuses) == {200, 201, 204, 304, 400, 401, 404, 405, 409, 412, 415, 422}, REPEAT


def test_every_operation_succeeded_at_least_once(trial: Trial) -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    operations = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    assert len(operations) == 14
    assert [operation for operation in operations if trial.successes[operation] < 10] == [], REPEAT

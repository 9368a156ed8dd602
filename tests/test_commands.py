"""The flask command, run as a person runs it."""

import os
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from flask.testing import FlaskClient

from tests.servers import SECRET, Database, Server

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def flask(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with these variables and no others of ours."""
    ours = ("NEON_DB_URL", "DATABASE_URL", "BETTER_AUTH_SECRET")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [BIN / "flask", *arguments], cwd=ROOT, env=environment | {"FLASK_SKIP_DOTENV": "1"} | environ,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_token_for_anybody_is_printed_and_accepted(client: FlaskClient) -> None:
    printed = flask("token", "auth0|alice", BETTER_AUTH_SECRET=SECRET)
    assert printed.returncode == 0, printed.stderr
    token = printed.stdout.strip()
    assert jwt.decode(token, SECRET, ["HS256"])["sub"] == "auth0|alice"
    assert client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_token_for_nobody_is_refused() -> None:
    for user in ("", "  ", "a" * 256, "a\x01"):
        refused = flask("token", user, BETTER_AUTH_SECRET=SECRET)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "1 to 255 characters" in refused.stderr


@pytest.mark.parametrize("secret", ["", "short"])
def test_without_a_usable_secret_there_is_no_token(secret: str) -> None:
    refused = flask("token", "alice", BETTER_AUTH_SECRET=secret)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "BETTER_AUTH_SECRET" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_database_is_upgraded_with_nothing_but_the_contract_s_variables(server: Server) -> None:
    with server.database() as own:
        upgraded = flask("db", "upgrade", BETTER_AUTH_SECRET=SECRET, DATABASE_URL=own.url())
        assert upgraded.returncode == 0, upgraded.stderr
        assert "The database is at migration 0001." in upgraded.stderr
        assert own.run("SELECT version_num FROM todo.alembic_version") == [("0001",)]


def test_a_database_that_is_not_there_is_said_in_one_line(database: Database) -> None:
    url = database.url().replace(database.name, "no_such_database", 1).replace("no_such_database_owner", "nobody")
    failed = flask("db", "upgrade", BETTER_AUTH_SECRET=SECRET, NEON_DB_URL=url)
    assert failed.returncode != 0
    assert failed.stderr.startswith("Error: Nothing was migrated: ")
    assert "Traceback" not in failed.stderr

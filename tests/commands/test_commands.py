"""The flask command."""

from collections.abc import Callable

import jwt
import pytest
from flask.testing import FlaskClient

from config import Settings
from tests.support.callers import Caller, read_tasks
from tests.support.commands import invoke, run
from tests.support.databases import SECRET, Database, Server
from todo.cli import format_first_call
from todo.database.audit import newest_migration


def test_token_prints_a_valid_token(client: FlaskClient) -> None:
    printed = run("flask", "token", "--user", "auth0|alice", settings={"BETTER_AUTH_SECRET": SECRET})
    assert printed.returncode == 0, printed.stderr
    token = printed.stdout.strip()
    assert jwt.decode(token, SECRET, ["HS256"])["sub"] == "auth0|alice"
    assert client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_token_prints_a_header_with_the_requested_lifetime(client: FlaskClient) -> None:
    printed = invoke("token", "--days", "365", "--header", settings={"BETTER_AUTH_SECRET": SECRET})
    name, value = printed.stdout.strip().split(": ")
    claims = jwt.decode(value.removeprefix("Bearer "), SECRET, ["HS256"])
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("alice", 365 * 24 * 60 * 60)
    assert client.get("/api/tasks", headers={name: value}).status_code == 200


@pytest.mark.parametrize("days", ["0", "-1", "3651", "x"])
def test_token_lifetime_is_1_to_3650_days(days: str) -> None:
    refused = invoke("token", "--days", days, settings={"BETTER_AUTH_SECRET": SECRET})
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--days" in refused.stderr


@pytest.mark.parametrize(("user", "reason"), [("  ", "not blank"), ("a" * 256, "255"), ("a\x01", "control")])
def test_token_refuses_an_invalid_user_id(user: str, reason: str) -> None:
    refused = invoke("token", "--user", user, settings={"BETTER_AUTH_SECRET": SECRET})
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert reason in refused.stderr


def test_token_needs_a_usable_secret() -> None:
    refused = run("flask", "token", settings={"BETTER_AUTH_SECRET": "short"})
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "BETTER_AUTH_SECRET" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_token_is_refused_if_only_public_keys_are_configured() -> None:
    refused = invoke("token", settings={"BETTER_AUTH_URL": "https://app.example.com"})
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: BETTER_AUTH_SECRET is not set, and tokens are made with it;")
    assert "<JWT from Better Auth>" in format_first_call(Settings(jwks_url="https://app.example.com/jwks"))


def test_seed_adds_tasks_for_each_user(database: Database, make_caller: Callable[[str], Caller]) -> None:
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web")}
    seeded = invoke("seed", "--users", "2", "--tasks", "1200", "--start", "900", settings=settings)
    assert seeded.exit_code == 0, seeded.stderr
    assert "Added 2400 tasks." in seeded.stderr
    for user_id in ("user900", "user901"):
        caller = make_caller(user_id)
        assert len(read_tasks(caller.get("/api/tasks"))) == 1000
        found = read_tasks(caller.get("/api/tasks?search=молоко&sort=due_date"))
        assert found
        assert {task["title"] for task in found} == {"Купить молоко"}
    assert read_tasks(make_caller("user902").get("/api/tasks")) == []


def test_seed_needs_a_migrated_database(empty_database: Database) -> None:
    refused = invoke("seed", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": empty_database.url()})
    assert refused.exit_code == 1
    assert "Error: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_db_upgrade_needs_only_secret_and_database_url(server: Server) -> None:
    with server.database() as own:
        upgraded = run("flask", "db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": own.url()})
        assert upgraded.returncode == 0, upgraded.stderr
        assert f"The database is at migration {newest_migration()}." in upgraded.stderr
        assert own.run("SELECT version_num FROM todo.alembic_version") == [(newest_migration(),)]


def test_db_upgrade_prints_one_line_if_the_database_is_missing(database: Database) -> None:
    url = database.url().replace(database.name, "no_such_database", 1).replace("no_such_database_owner", "nobody")
    failed = run("flask", "db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": url})
    assert failed.returncode != 0
    assert failed.stderr.startswith("Error: The database cannot be reached: connection to server ")
    assert failed.stderr.count("\n") == 1
    assert "again" not in failed.stderr

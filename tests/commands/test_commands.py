"""The flask command."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jwt
import pytest
from click.testing import Result
from flask.testing import FlaskClient

from config import Settings
from server.welcome import format_welcome
from tests.support.callers import Caller, read_task, read_tasks
from tests.support.commands import invoke, run
from tests.support.databases import SECRET, Database, Server
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
    assert "<JWT from Better Auth>" in format_welcome(Settings(jwks_url="https://app.example.com/jwks"), bold=False)


def test_seed_adds_tasks_for_each_user(database: Database, make_caller: Callable[[str], Caller]) -> None:
    seeded = seed(database, "--users", "2", "--tasks", "1200", "--start", "900")
    assert seeded.exit_code == 0, seeded.stderr
    assert "Added 2400 tasks." in seeded.stderr
    for user_id in ("user900", "user901"):
        caller = make_caller(user_id)
        assert len(read_tasks(caller.get("/api/tasks"))) == 1000
        found = read_tasks(caller.get("/api/tasks?search=молоко&sort=due_date"))
        assert found
        assert {task["title"] for task in found} == {"Купить молоко"}
    assert read_tasks(make_caller("user902").get("/api/tasks")) == []


def seed(database: Database, *options: str, **settings: str) -> Result:
    given = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web")}
    return invoke("seed", *options, settings=given | settings)


DUE_TODAY = {"Lunch with Sam", "Pick up the parcel", "Send the project update"}


def find_other_day() -> ZoneInfo:
    """Return a time zone where it is not the day of this machine."""
    zones = map(ZoneInfo, ("Pacific/Kiritimati", "Etc/GMT+12"))
    return next(zone for zone in zones if datetime.now(zone).date() != datetime.now().astimezone().date())


def find_due(caller: Caller, zone: ZoneInfo, query: str) -> set[str]:
    tasks = read_tasks(caller.get("/api/tasks", query_string=f"time_zone={quote(str(zone))}&{query}"))
    return {task["title"] for task in tasks}


def test_seed_gives_a_user_tasks_around_today(database: Database, alice: Caller) -> None:
    zone = find_other_day()
    added = seed(database, "--user", alice.user_id, "--time-zone", str(zone))
    assert added.exit_code == 0, added.stderr
    assert f"Added 23 tasks for {alice.user_id}, due around today." in added.stderr
    today = datetime.now(zone).date()
    tomorrow, week = today + timedelta(days=1), today + timedelta(days=7)
    assert find_due(alice, zone, f"due_after={today}&due_before={today}") == DUE_TODAY
    assert find_due(alice, zone, f"due_after={tomorrow}&due_before={tomorrow}") == {"Dentist", "Water the plants"}
    before = find_due(alice, zone, f"completed=false&due_before={today - timedelta(days=1)}")
    assert before == {"Renew the car insurance", "Reply to Priya about the invoice", "Return the library books"}
    assert len(find_due(alice, zone, f"due_after={tomorrow}&due_before={week}")) == 7
    tasks = read_tasks(alice.get("/api/tasks"))
    now = datetime.now(UTC)
    for task in tasks:
        times = [datetime.fromisoformat(task[name]) for name in ("created_at", "updated_at")]
        assert times[0] <= times[1] <= now
        assert task["completed"] is (task["completed_at"] is not None)
    assert [sum(task[name] is None for task in tasks) for name in ("completed_at", "due_date")] == [20, 4]
    assert {task["priority"] for task in tasks} == {None, "low", "medium", "high"}
    dentist = next(task for task in tasks if task["title"] == "Dentist")
    at = datetime.fromisoformat(dentist["due_date"]).astimezone(zone)
    assert (at.date(), at.hour, at.minute) == (tomorrow, 8, 45)
    bill = next(task for task in tasks if task["recurrence"] and task["title"] == "Pay the electricity bill")
    assert bill["recurrence"] == {"rule": "FREQ=MONTHLY", "from": "due", "time_zone": str(zone)}
    done = read_task(alice.patch(f"/api/tasks/{bill['id']}/complete", json={"completed": True}))
    following = read_task(alice.get(f"/api/tasks/{done['next_id']}"))
    assert date.fromisoformat(following["due_date"]) >= date.fromisoformat(bill["due_date"]) + timedelta(days=28)
    assert {task["title"] for task in tasks if task["remind_at"]} == {"Call Grandma", "Dentist"}


def test_seed_takes_the_time_zone_of_the_machine(database: Database, alice: Caller) -> None:
    zone = find_other_day()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web"), "TZ": str(zone)}
    added = run("flask", "seed", "--user", alice.user_id, settings=settings)
    assert added.returncode == 0, added.stderr
    today = datetime.now(zone).date()
    assert find_due(alice, zone, f"due_after={today}&due_before={today}") == DUE_TODAY


def test_a_second_seed_says_that_nothing_was_added(database: Database, alice: Caller) -> None:
    alice.add()
    refused = seed(database, "--user", alice.user_id)
    expected = f"Error: {alice.user_id} has tasks already, so none were added; --add puts them beside these.\n"
    assert (refused.exit_code, refused.stderr) == (1, expected)
    assert seed(database, "--user", alice.user_id, "--add").exit_code == 0
    assert len(read_tasks(alice.get("/api/tasks"))) == 24
    limited = seed(database, "--user", alice.user_id, "--add", MAX_TASKS="30")
    assert (limited.exit_code, limited.stderr) == (
        1, f"Error: {alice.user_id} would have more tasks than MAX_TASKS allows.\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "Give either --user ID, or --users NUMBER"),
        (["--user", "a", "--users", "2"], "Give either --user ID, or --users NUMBER"),
        (["--user", "a", "--time-zone", "Berlin"], "Berlin is not an IANA time zone"),
        (["--user", " "], "not blank"),
    ],
)
def test_seed_names_the_wrong_option(database: Database, options: list[str], reason: str) -> None:
    refused = seed(database, *options)
    assert refused.exit_code == 2
    assert reason in refused.stderr


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
    assert "The user or the password is wrong: correct them in NEON_DB_URL or DATABASE_URL" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert "again" not in failed.stderr

"""A command that cannot reach or use the database says in one line why, and what to do."""

import re
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.support.commands import free_port, invoke, run
from tests.support.databases import SECRET, Database
from tests.support.wire import Wire
from todo.arguments import find_command

COMMANDS = (("db", "upgrade"), ("seed", "--user", "ada"), ("user", "export", "ada"), ("user", "delete", "ada", "--yes"))


def fail(url: str, *command: str, seconds: int = 10) -> str:
    """Run a command that fails; return its error."""
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": url, "CONNECT_SECONDS": str(seconds)}
    failed = invoke(*command, settings=settings)
    assert failed.exit_code == 1, failed.output
    assert failed.stderr.count("\n") == 1
    assert "again" not in failed.stderr
    return failed.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_refused_connection_says_that_no_server_listens(command: tuple[str, ...]) -> None:
    said = fail(f"postgresql://ada:x@127.0.0.1:{free_port()}/tasks", *command)
    assert said.startswith("Error: The database cannot be reached: connection to server at ")
    assert said.endswith("Connection refused. No server listens there: start it, or correct the host and the port in "
                         "NEON_DB_URL or DATABASE_URL.\n")  # fmt: skip


def test_every_cause_comes_with_what_to_do(database: Database) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent, Wire(database.server.superuser_url) as wire:
        wrong_user = database.url().replace(f"//{database.role('owner')}", "//nobody")
        without_tls = str(wire.settings(database).database_url).replace("sslmode=disable", "sslmode=require")
        no_database = re.sub(rf"/{database.name}(?=[?]|$)", "/nothing", database.url())
        causes = {
            "postgresql://ada:x@host.invalid/tasks": "This host is not known: correct it in",
            no_database: "Correct the name of the database",
            database.url().replace(":test@", ":wrong@"): "The user or the password is wrong",
            wrong_user: "The user or the password is wrong",
            without_tls: "The server has no TLS: set it up there",
            f"postgresql://ada:x@127.0.0.1:{silent.getsockname()[1]}/tasks": "Nothing answers there: check the host",
            "postgresql:///tasks?host=/nowhere": "No server has this socket",
        }
        [(port,)] = database.run("SELECT inet_server_port()")
        if port not in {None, urlsplit(database.url()).port}:  # PgBouncer lets a client of an unknown database wait.
            del causes[no_database]
        for url, remedy in causes.items():
            # Only the mute server needs a limit. A pooler can take a second to ask PostgreSQL.
            said = fail(url, "seed", "--user", "ada", seconds=1 if remedy.startswith("Nothing answers") else 10)
            assert said.startswith("Error: The database cannot be reached: "), said
            assert remedy in said, said
            assert said.endswith(".\n")


def test_a_database_without_tables_says_to_migrate(empty_database: Database) -> None:
    for command in COMMANDS[1:]:
        said = fail(empty_database.url(), *command)
        assert said.endswith(". The database is not migrated: run flask db upgrade.\n"), said


def test_check_tells_whether_the_service_can_use_the_database(database: Database, empty_database: Database) -> None:
    """Platforms run it before a release, with the login of the service."""
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web")}
    ready = invoke("check", settings=settings)
    assert (ready.exit_code, ready.stderr) == (0, "The service is ready: its login can use the database.\n")
    wrong = re.sub(r":[^:@/]*@", ":wrong@", database.url("web"))
    assert "The user or the password is wrong: correct them in NEON_DB_URL" in fail(wrong, "check")
    assert fail(empty_database.url(), "check").startswith(
        "Error: The service is not ready: the database is at migration"
    )


def test_an_error_of_the_owner_names_its_variable(database: Database) -> None:
    wrong = re.sub(r":[^:@/]*@", ":wrong@", database.url("owner"))
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url(), "MIGRATION_DATABASE_URL": wrong}
    failed = run("flask", "db", "upgrade", settings=settings)
    assert "The user or the password is wrong: correct them in MIGRATION_DATABASE_URL, with" in failed.stderr
    assert run("flask", "check", settings=settings).returncode == 0


def test_a_release_whose_service_could_not_log_in_fails(database: Database) -> None:
    """Platforms replace the old release when this command succeeds."""
    right, wrong = database.url("web"), re.sub(r":[^:@/]*@", ":wrong@", database.url("web"))
    settings = {"BETTER_AUTH_SECRET": SECRET, "MIGRATION_DATABASE_URL": database.url("owner")}
    for url, status in ((right, 0), (wrong, 1)):
        done = run("python", "-m", "server", "--migrate", settings=settings | {"DATABASE_URL": url})
        assert done.returncode == status, done.stderr
        assert "The database is at migration" in done.stderr
    assert "correct them in NEON_DB_URL or DATABASE_URL" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("/x/flask db upgrade", "db"),
        ("/x/flask --app wsgi:app --debug db upgrade", "db"),
        ("/x/flask/__main__.py -e .env after-restore --trust-clock", "after-restore"),
        ("/x/flask user export db", "user"),
        ("/x/flask token --user db", "token"),
        ("/x/flask --help", None),
        ("/x/gunicorn db", None),
    ],
)
def test_only_commands_of_the_owner_get_the_owners_url(arguments: str, command: str | None) -> None:
    assert find_command(arguments.split()) == command


def test_a_login_without_rights_is_told_which(own_database: Database) -> None:
    own_database.run(f"REVOKE todo_app FROM {own_database.role('web')}")
    assert "GRANT todo_app TO the user" in fail(own_database.url("web"), "seed", "--user", "ada")

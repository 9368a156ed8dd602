"""The URL of the database: which are accepted, what a refusal says, and ``flask database-url``, which prints it."""

from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from config import SettingError, Settings
from tests.support.callers import Caller
from tests.support.commands import copy_service, invoke, run
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.wire import Wire
from todo import create_app
from todo.database.opening import make_parameters


def read(url: str) -> Settings:
    return Settings.read({"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": url})


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ("postgres://u:p@a:1,b:2,c/d", {"host": "a,b,c", "port": "1,2,"}),
        ("postgresql://u:p@a,b/d?port=6432", {"host": "a,b", "port": "6432"}),
        ("postgresql://u:p@/d?host=a,b&port=1,2", {"host": "a,b", "port": "1,2"}),
        ("postgresql://u:p@[::1]:5433/d", {"host": "::1", "port": "5433"}),
        ("postgresql://%2Frun%2Fpostgresql/d", {"host": "/run/postgresql"}),
        ("postgresql://%2Frun%2Fpostgresql:5433/d", {"host": "/run/postgresql", "port": "5433"}),
        ("postgresql:///d?host=/run/postgresql", {"host": "/run/postgresql", "dbname": "d"}),
        ("postgresql://h/d?user=u&password=a+b", {"password": "a+b"}),
        ("postgresql://u:a+b@h/d", {"password": "a+b"}),
        ("postgresql://u:a#b?c:d@h/d", {"password": "a#b?c:d", "host": "h"}),
        ("postgresql://u:a%40b%2Fc%25@h/d", {"password": "a@b/c%"}),
        ("postgresql://u:p@h/d?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("postgresql://u:p@h/d?sslmode=verify-full&channel_binding=require", {"channel_binding": "require"}),
        ("postgresql://u:p@h/d?sslmode=require&sslnegotiation=direct", {"sslnegotiation": "direct"}),
        ("postgres://u:p@h/d?ssl=true", {"sslmode": "require"}),
        ("postgresql://u:p@h/d?gssencmode=require", {"gssencmode": "require"}),
        ("postgresql://u:p@h/d?options=endpoint%3Dx", {"options": "endpoint=x"}),
        ("postgresql+asyncpg://u:p@h/d", {"host": "h"}),
        ("psql 'postgresql://u:p@h/d?sslmode=require'", {"host": "h", "sslmode": "require"}),
        ('psql "postgresql://u:p@h/d"', {"dbname": "d"}),
        ("psql postgresql://u:p@h/d", {"dbname": "d"}),
        ("'postgresql://u:p@h/d'", {"dbname": "d"}),
    ],
)
def test_a_url_means_what_it_means_to_psql(given: str, parameters: dict[str, str]) -> None:
    settings = read(given)
    assert {name: make_parameters(settings)[name] for name in parameters} == parameters
    assert parse_dsn(str(settings.database_url)).items() >= parameters.items()


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("postgresql://u:hidden@secret@h/d", "write @ as %40"),
        ("postgresql://u:hidden@12/secret@h/d", "write @ as %40"),
        ("postgresql://u:hidden/secret@h/d", "write @ as %40, / as %2F"),
        ("postgresql://u:12/secret@h/d", "/ as %2F"),
        ("postgresql://u:hidden/a?secret@h/d", "/ as %2F"),
        ("postgresql://u:1/a?secret=b@h/d", "/ as %2F"),
        ("postgresql://u:p@hidden?secret=c@h/d", "write @ as %40"),
        ("postgresql://u:50%hidden@h/d", "% as %25"),
        ("postgresql://u:hidden%00@h/d", "%-escapes"),
        ("postgresql://u:hidden secret@h/d", "a space as %20"),
        ("jdbc:postgresql://h/d?user=u&password=hidden", "must be like postgresql://"),
        ("host=h password=hidden", "must be like postgresql://"),
        ("postgresql://u:hidden@h/d?schema=public", "has the parameter schema, which PostgreSQL does not know"),
        (
            "postgresql://u:hidden@h/d?ssl=require",
            "has the parameter ssl, which PostgreSQL does not know: write sslmode",
        ),
        ("postgresql://u:hidden@h/d?ssl=true&schema=x", "has the parameter schema,"),
        ("postgresql://u:hidden@h/d?sslmode=require&pgbouncer=true", "has the parameter pgbouncer,"),
        ("postgresql://u:hidden@h/d?sslmode=on", "the value of its parameter sslmode"),
        ("postgresql://u:hidden@h/d?sslmode=Require", "the value of its parameter sslmode"),
        ("postgresql://u:hidden@h/d?target_session_attrs=master", "the value of its parameter target_session_attrs"),
        ("postgresql://u:hidden@h/d?connect_timeout=10s", "its parameter connect_timeout must be a whole number"),
        ("postgresql://u:hidden@h/d?keepalives_idle=a", "its parameter keepalives_idle must be a whole number"),
        ("postgresql://u:hidden@a,b:1,c/d?port=1,2", "one port, or one for each host"),
        ("postgresql://u:hidden@a,b/d?hostaddr=127.0.0.1", "as many values in hostaddr as in host"),
        ("postgresql://u:hidden@h:70000/d", "its port must be a number from 1 to 65535"),
        ("postgresql://u:hidden@h/d?sslnegotiation=direct", "the value of its parameter sslnegotiation"),
        ("postgresql://u:hidden@h/d?sslmode=disable&sslnegotiation=direct", "parameter sslnegotiation"),
        ("postgresql://u:hidden@h/d?sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
    ],
)
def test_a_refused_url_gets_one_line_without_the_password(given: str, advice: str) -> None:
    with pytest.raises(SettingError) as refused:
        read(given)
    message = refused.value.message
    assert message.startswith("NEON_DB_URL ")
    assert advice in message
    assert "\n" not in message
    assert not {"hidden", "secret"} & set(message.replace(",", " ").replace(":", " ").split())
    assert "hidden" not in message


def test_several_hosts_are_tried_in_turn(database: Database) -> None:
    with Wire(database.server.superuser_url) as wire:
        login = f"{database.role('web')}:test"
        url = f"postgresql://{login}@127.0.0.1:1,127.0.0.1:{wire.port}/{database.name}?sslmode=disable"
        settings = read(url)
        with closing_pool(create_app(settings)) as app:
            assert Caller(app.test_client(), settings).titles() == []


def test_the_commands_accept_the_same_urls(empty_database: Database) -> None:
    with Wire(empty_database.server.superuser_url) as wire:
        login = f"{empty_database.role('owner')}:test"
        plain = f"postgresql://{login}@127.0.0.1:1,127.0.0.1:{wire.port}/{empty_database.name}?sslmode=disable"
        settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": f"psql '{plain}'"}
        for command in (("db", "upgrade"), ("seed", "--users", "1", "--tasks", "2"), ("user", "export", "user1")):
            done = run("flask", *command, settings=settings)
            assert done.returncode == 0, done.stderr
        assert run("flask", "database-url", settings=settings).stdout == f"{plain}\n"
        wrong = run("flask", "db", "upgrade", settings=settings | {"NEON_DB_URL": "postgresql://u:hid@den@h/d"})
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith("Error: NEON_DB_URL is a PostgreSQL URL that cannot be read")
        assert wrong.stderr.count("\n") == 1


def test_system_certificates_are_found(database: Database) -> None:
    """The wheel of psycopg2 has an OpenSSL that looks for them in a folder of the machine that built it."""
    parameters = make_parameters(read("postgresql://u@h/d?sslrootcert=system"))
    assert Path(parameters["sslrootcert"]).read_text().count("BEGIN CERTIFICATE") > 10
    assert parameters["sslmode"] == "verify-full"


def test_the_url_works_with_postgresql_programs(database: Database) -> None:
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web")}
    printed = invoke("database-url", settings=settings)
    assert (printed.exit_code, printed.stdout) == (0, f"{database.url('web')}\n"), printed.stderr
    psycopg2.connect(printed.stdout.strip()).close()


def test_a_stopped_embedded_postgresql_prints_one_line(tmp_path: Path) -> None:
    """Runs in a copy of the service, because the embedded PostgreSQL of this clone may run."""
    copy_service(tmp_path)
    refused = run("flask", "database-url", settings={"BETTER_AUTH_SECRET": SECRET}, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Error: the embedded PostgreSQL does not run; start it in another terminal: make run\n"

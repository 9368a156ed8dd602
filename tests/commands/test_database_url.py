"""``flask database-url``: where other programs on this machine find the database."""

from pathlib import Path

import psycopg2

from tests.support.commands import copy_service, invoke, run
from tests.support.databases import SECRET, Database


def test_the_url_is_one_that_postgresql_s_own_programs_take(database: Database) -> None:
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url("web")}
    printed = invoke("database-url", settings=settings)
    assert (printed.exit_code, printed.stdout) == (0, f"{database.url('web')}\n"), printed.stderr
    psycopg2.connect(printed.stdout.strip()).close()


def test_an_embedded_postgresql_that_does_not_run_is_said_in_one_line(tmp_path: Path) -> None:
    """In a folder of its own: here, it may run."""
    copy_service(tmp_path)
    refused = run("flask", "database-url", settings={"BETTER_AUTH_SECRET": SECRET}, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Error: the embedded PostgreSQL does not run; start it in another terminal: make run\n"

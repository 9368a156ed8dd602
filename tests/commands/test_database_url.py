"""``flask database-url`` prints the URL of the database for other programs on this machine."""

from pathlib import Path

import psycopg2

from tests.support.commands import copy_service, invoke, run
from tests.support.databases import SECRET, Database


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

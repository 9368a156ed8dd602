"""Only its owner can use the embedded PostgreSQL, and it changes nothing else on the machine."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from embedded import EmbeddedError, EmbeddedPostgres
from tests.support.clusters import ask, server_of

as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can run as another user or change the owner of a folder"
)


def test_it_listens_on_no_network_and_requires_a_password(home: Path, postgres: EmbeddedPostgres) -> None:
    assert ask(postgres, "SHOW listen_addresses") == ""
    directory = postgres.url().split("host=")[1]
    for role in ("todo", "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(f"postgresql://{role}@/{role}?host={directory}", password="wrong")
    assert (home / "password").stat().st_mode & 0o077 == 0
    assert home.stat().st_mode & 0o077 == 0


@as_root
def test_another_user_can_neither_connect_nor_read(home: Path, postgres: EmbeddedPostgres) -> None:
    socket_directory = (home / "data" / "postmaster.pid").read_text().splitlines()[4]
    for user in ("nobody", "daemon"):
        for path in (f"{socket_directory}/.s.PGSQL.5432", f"{home}/password", f"{home}/data/PG_VERSION"):
            refused = subprocess.run(
                ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", "stat", path],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert "Permission denied" in refused.stderr, (user, path)


@as_root
def test_as_root_it_runs_as_nobody_and_changes_no_directory(home: Path) -> None:
    (home.parent).mkdir(parents=True)
    home.parent.parent.chmod(0o700)
    existing = [home.parent, *home.parent.parents, Path(sys.prefix), *Path(sys.prefix).parents]
    before = {path: (path.stat().st_mode, path.stat().st_uid) for path in existing}
    postgres = EmbeddedPostgres(home)
    postgres.start()
    assert server_of(home).username() == "nobody"
    assert {path: (path.stat().st_mode, path.stat().st_uid) for path in existing} == before
    postgres.close()


@as_root
def test_root_does_not_use_a_folder_of_another_user(home: Path) -> None:
    home.mkdir(parents=True)
    os.chown(home, 1, 1)
    with pytest.raises(EmbeddedError, match=r"belongs to another user .* or set NEON_DB_URL"):
        EmbeddedPostgres(home).start()
    assert list(home.iterdir()) == []


def test_the_log_has_no_statements_and_is_private(home: Path, postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg2.errors.DivisionByZero):
        ask(postgres, "SELECT 1/0 AS private")
    assert "division by zero" in (home / "log").read_text()
    assert "private" not in (home / "log").read_text()
    assert (home / "log").stat().st_mode & 0o077 == 0

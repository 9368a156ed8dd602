"""Run the commands of the Dockerfiles, compose.yaml and the platforms in a folder with only the copied files.

This replaces `docker build` and `docker compose up` where Docker is missing. It tests neither the base images nor
Docker. Where namespaces are available, the commands run in them as in a container.
"""

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest
from sqlalchemy import URL, make_url

from config import Settings
from embedded import EmbeddedPostgres
from embedded.programs import find_programs
from tests.support.clusters import as_server_s_user, wait_until
from tests.support.commands import ROOT, call, free_port, make_environment
from tests.support.containers import AVAILABLE, Container, read_all
from tests.support.databases import SECRET
from tests.support.docker_files import list_context, read_compose, read_dockerfile
from tests.support.pgbouncer import PROGRAM as PGBOUNCER
from tests.support.wire import Wire
from todo.auth.tokens import issue_token

DOCKERFILE = read_dockerfile(ROOT / "Dockerfile")
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3.11").exists() else sys.executable
SAID = {each.name: each.words for each in DOCKERFILE}
MIGRATE = ["python", "-m", "server", "--migrate"]
PASSWORDS = {name: secrets.token_hex(8) for name in ("POSTGRES_PASSWORD", "TODO_OWNER_PASSWORD", "TODO_WEB_PASSWORD")}
# The package index in this machine's pip configuration.
PIP = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


class Image:
    """A folder built as the Dockerfile describes."""

    def __init__(self, folder: Path) -> None:
        # In place of the image's Python: a virtual environment without packages. Every user can run the system's.
        subprocess.run([PYTHON, "-m", "venv", folder / "python"], check=True)
        self._environment = {"PATH": f"{folder}/python/bin:/usr/bin:/bin:/usr/sbin", "LANG": "C.UTF-8"}
        self._user = ""
        for name, text in DOCKERFILE:
            words = shlex.split(text)
            if name == "WORKDIR":
                self.folder = folder / words[0].strip("/")
                self.folder.mkdir(parents=True)
            elif name == "ENV":
                self._environment |= dict(word.split("=", 1) for word in words)
            elif name == "COPY":
                self._copy(words[:-1], words[-1])
            elif name == "RUN":
                subprocess.run(["sh", "-c", text], cwd=self.folder, env=self._environment | PIP, check=True)
            elif name == "USER":
                self._user = words[0]

    def contain(self, command: list[str], settings: Mapping[str, str], sockets: Path) -> Container:
        """Return a container that runs a command."""
        return Container(command, self._environment | dict(settings), self.folder, sockets)

    def start(self, command: list[str], settings: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start a command in the folder as a user who owns no file there."""
        user, _, group = self._user.partition(":")
        wrapper = ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups") if os.geteuid() == 0 else ()
        return subprocess.Popen(
            [*wrapper, *command], cwd=self.folder, env=self._environment | dict(settings), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, command: list[str], settings: Mapping[str, str]) -> tuple[int, str]:
        process = self.start(command, settings)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def _copy(self, sources: list[str], target: str) -> None:
        for source in sources:
            for path in list_context(source):
                inside = path.relative_to(source) if (ROOT / source).is_dir() else Path(path.name)
                place = self.folder / target / inside
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, place)
                place.chmod(0o644)


class Database(NamedTuple):
    """The superuser's URL of a database, and a folder with its socket."""

    url: URL
    sockets: Path

    def settings(self) -> dict[str, str]:
        """Return the settings of a service in a container, which migrates before it serves."""
        return {
            "DATABASE_URL": self._format("todo_web", PASSWORDS["TODO_WEB_PASSWORD"]),
            "MIGRATION_DATABASE_URL": self._format("todo_owner", PASSWORDS["TODO_OWNER_PASSWORD"]),
            "BETTER_AUTH_SECRET": SECRET,
            "HOST": "::",
            "PORT": "8000",
            "WEB_CONCURRENCY": "2",
        }

    def _format(self, user: str, password: str) -> str:
        return format_url(URL.create("postgresql", user, password, database=self.url.database, query={"host": "/mnt"}))

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Give a cursor of the superuser, in one transaction."""
        connection = psycopg2.connect(format_url(self.url))
        with closing(connection), connection, connection.cursor() as cursor:
            yield cursor


def format_url(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


class Deployment(NamedTuple):
    """An image, and compose.yaml with addresses of this machine."""

    image: Image
    services: Any
    port: int


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # A container has another /tmp.
        Path(name).chmod(0o755)  # The user of the service must be able to enter.
        yield Path(name)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """The superuser's URL of a PostgreSQL that was initialized by the scripts that compose.yaml mounts."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("container") / "postgres")
    postgres.start()
    url = make_url(postgres.url("postgres"))
    programs = find_programs(postgres.home.path / "data")
    environment = os.environ | PASSWORDS | {"PATH": f"{programs}:{os.environ['PATH']}", "POSTGRES_USER": "postgres"}
    environment |= {"PGHOST": str(url.query["host"]), "PGPASSWORD": str(url.password)}
    psql = ["psql", "--quiet", "--username=postgres", "--dbname=postgres"]
    subprocess.run([*psql, "--command", "ALTER DATABASE todo RENAME TO other"], env=environment, check=True)
    for volume in read_compose(PASSWORDS)["services"]["postgres"]["volumes"][1:]:
        source = ROOT / volume.split(":")[0]
        command = [*psql, "--file", str(source)] if source.suffix == ".sql" else ["sh", str(source)]
        subprocess.run(command, env=environment, check=True)
    yield url
    postgres.close()


@pytest.fixture(scope="module")
def postgres_port(postgres: URL) -> Iterator[int]:
    with Wire(postgres) as relay:
        yield relay.port


@pytest.fixture
def database(postgres: URL, folder: Path) -> Iterator[Database]:
    """An empty database of todo_owner, which containers reach by a socket."""
    database = Database(postgres.set(database=f"todo_{secrets.token_hex(4)}"), folder / secrets.token_hex(4))
    database.sockets.mkdir()
    with closing(psycopg2.connect(format_url(postgres))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE DATABASE {database.url.database} OWNER todo_owner TEMPLATE template0 ENCODING 'UTF8'")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(database.sockets / ".s.PGSQL.5432"))
    (database.sockets / ".s.PGSQL.5432").chmod(0o777)
    listener.listen()
    with Wire(database.url, listener):
        yield database


@pytest.fixture(scope="module")
def pgbouncer_port(folder: Path, postgres_port: int) -> Iterator[int]:
    """The PgBouncer of deploy/pgbouncer as another user, with the CMD of its Dockerfile."""
    port = free_port()
    home = folder / "pgbouncer"
    home.mkdir(mode=0o755)
    (home / "tmp").mkdir()
    (home / "tmp").chmod(0o777)
    for name in ("pgbouncer.ini", "start.sh"):
        text = (ROOT / "deploy" / "pgbouncer" / name).read_text()
        for old, new in (
            ("host=postgres port=5432", f"host=127.0.0.1 port={postgres_port}"),
            ("listen_port = 6432", f"listen_port = {port}\nserver_tls_sslmode = disable"),
            ("/tmp/users.txt", f"{home}/tmp/users.txt"),
            ("/opt/pgbouncer", str(home)),
        ):
            text = text.replace(old, new)
        (home / name).write_text(text)
    process = as_server_s_user("env", f"TODO_WEB_PASSWORD={PASSWORDS['TODO_WEB_PASSWORD']}", "sh", f"{home}/start.sh")
    yield port
    process.terminate()
    process.wait(15)


@pytest.fixture(scope="module")
def image(folder: Path) -> Image:
    return Image(folder)


@pytest.fixture(scope="module")
def deployment(image: Image, postgres_port: int, pgbouncer_port: int) -> Deployment:
    services = read_compose(PASSWORDS | {"BETTER_AUTH_SECRET": SECRET})["services"]
    port = free_port()
    for name in ("migrate", "todo"):
        settings = services[name]["environment"]
        url = settings["DATABASE_URL"].replace("@postgres:5432", f"@127.0.0.1:{postgres_port}")
        url = url.replace("@pgbouncer:6432", f"@127.0.0.1:{pgbouncer_port}")
        settings["DATABASE_URL"] = f"{url}?sslmode=disable&gssencmode=disable"  # The relay does not support TLS.
    services["todo"]["environment"]["PORT"] = str(port)
    return Deployment(image, services, port)


@pytest.mark.skipif(not PGBOUNCER, reason="PgBouncer is not installed")
def test_the_image_builds_migrates_serves_and_stops(deployment: Deployment) -> None:
    image, services, port = deployment
    settings = services["todo"]["environment"]
    assert image.run(SAID["HEALTHCHECK"], settings)[0] != 0

    status, output = image.run(services["migrate"]["command"], services["migrate"]["environment"])
    assert status == 0, output
    assert "The database is at migration" in output

    service = image.start(SAID["CMD"], settings)
    try:
        wait_until(lambda: service.poll() is not None or image.run(SAID["HEALTHCHECK"], settings)[0] == 0, seconds=30)
        assert call(port, "GET", "/readyz").body == {"status": "ready"}
        token = issue_token(Settings(better_auth_secret=SECRET), "contained", 600)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        assert call(port, "POST", "/api/tasks", '{"title": "x"}', **headers).status == 201
        [task] = call(port, "GET", "/api/tasks", **headers).body
        assert task["user_id"] == "contained"
    finally:
        started = time.monotonic()
        service.terminate()
        output, _ = service.communicate(timeout=60)
    assert service.returncode == 0, output
    assert time.monotonic() - started < int(services["todo"]["stop_grace_period"].removesuffix("s"))


def test_the_user_of_the_image_cannot_write(deployment: Deployment) -> None:
    status, output = deployment.image.run(["touch", "config.py", "todo/new", "new"], {})
    assert (status, output.count("denied")) == (1, 3)


needs_namespaces = pytest.mark.skipif(not AVAILABLE, reason="namespaces need root")


@needs_namespaces
def test_instances_that_start_at_once_migrate_and_serve(image: Image, database: Database) -> None:
    settings = database.settings()
    token = issue_token(Settings(better_auth_secret=SECRET), "contained", 600)
    body = '{"title": "x"}'
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
    creation = f"POST /api/tasks HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{body}"

    with ExitStack() as stack:
        containers = [
            stack.enter_context(image.contain([*MIGRATE, "wsgi:app"], settings, database.sockets)) for _ in range(2)
        ]
        for container in containers:
            wait_until(partial(is_healthy, container), seconds=40)
            assert '{"status":"ready"}' in container.request(8000, f"GET /readyz HTTP/1.1\r\n{head}\r\n")
        # The service does not have the owner's URL.
        processes = [container.first, *container.first.children()]
        assert len(processes) == 3
        assert [process.pid for process in processes if "MIGRATION_DATABASE_URL" in process.environ()] == []

        assert container.run("sh", "-c", "sleep 0.5 >/dev/null 2>&1 &") == 0
        wait_until(lambda: len(container.first.children()) == 3)
        wait_until(lambda: len(container.first.children()) == 2)

        with database.connect() as cursor, container.connect(8000) as connection:
            cursor.execute("LOCK TABLE todo.tasks")
            connection.sendall(creation.encode())
            wait_until(lambda: count_waiting(database) == 1)
            container.first.terminate()
            time.sleep(0.3)
            cursor.connection.rollback()
            assert " 201 " in read_all(connection)
        status, output = container.wait(10)
        assert (status, "Traceback" in output) == (0, False), output
        assert containers[0].stop(10)[0] == 0


def is_healthy(container: Container) -> bool:
    return container.run(*SAID["HEALTHCHECK"]) == 0


def count_waiting(database: Database) -> int:
    """Return how many statements wait for a lock."""
    with database.connect() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


@needs_namespaces
def test_a_stop_ends_process_1_while_it_loads(image: Image, database: Database) -> None:
    def stop_after(seconds: float) -> tuple[int, bool]:
        settings = database.settings() | {"MIGRATION_DATABASE_URL": ""}
        with image.contain(SAID["CMD"], settings, database.sockets) as container:
            time.sleep(seconds)
            status, output = container.stop(10)
            return status, "Traceback" in output

    moments = (0.1, 0.2, 0.4, 0.7, 1.0, 1.5)
    with ThreadPoolExecutor(len(moments)) as threads:
        assert list(threads.map(stop_after, moments)) == [(0, False)] * len(moments)


@needs_namespaces
def test_a_stop_ends_a_migration_that_waits_and_reports_failure(image: Image, database: Database) -> None:
    with database.connect() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(b"todo", "big"),))
        with image.contain(MIGRATE, database.settings(), database.sockets) as container:
            wait_until(lambda: len(container.first.children()) == 1)
            time.sleep(2)
            status, output = container.stop(5)
    assert (status, "Another migration runs" in output) == (143, True), output


def test_a_stop_ends_a_worker_that_does_not_handle_it_yet(tmp_path: Path) -> None:
    config = tmp_path / "slow.conf.py"
    config.write_text(
        "import runpy, time\n"
        f"globals().update(runpy.run_path({str(ROOT / 'gunicorn.conf.py')!r}))\n"
        "def post_fork(server, worker):\n    print('forked', flush=True)\n    time.sleep(3)\n"
    )
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": "postgresql://u@/d", "PORT": str(free_port())}
    with subprocess.Popen(
        [sys.executable, "-m", "server", "wsgi:app", f"--config={config}"], cwd=ROOT, text=True,
        env=make_environment(settings | {"WEB_CONCURRENCY": "2", "WORKER_SECONDS": "10"}), stdout=subprocess.PIPE,
    ) as service:  # fmt: skip
        assert service.stdout
        assert [service.stdout.readline() for _ in range(2)] == ["forked\n"] * 2
        started = time.monotonic()
        service.terminate()
        assert service.wait(30) == 0
        assert time.monotonic() - started < 3

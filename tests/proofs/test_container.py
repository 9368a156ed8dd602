"""Run the commands of the Dockerfiles, compose.yaml and the platforms in a folder with only the copied files.

This replaces `docker build` and `docker compose up` where Docker is missing. It tests neither the base images nor
Docker. Where namespaces are available, the commands run in them as in a container.
"""

import os
import re
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
from contextlib import closing, contextmanager
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
from tests.support.platform_files import read_platforms
from tests.support.wire import Wire
from todo.auth.tokens import issue_token

DOCKERFILE = read_dockerfile(ROOT / "Dockerfile")
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3.11").exists() else sys.executable
SAID = {each.name: each.words for each in DOCKERFILE}
MIGRATE = read_platforms()["render.yaml"].migrate or []
PAGE = (ROOT / "docs" / "deploy-platforms.md").read_text()
PASSWORD = secrets.token_hex(24)
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

    def contain(
        self, command: list[str], settings: Mapping[str, str], database: "Database", **options: bool
    ) -> Container:
        """Return a container that runs a command."""
        environment = self._environment | dict(settings)
        return Container(command, environment, folder=self.folder, sockets=database.sockets, **options)

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
    """The owner's URL of a database, and a folder with its socket."""

    url: URL
    sockets: Path

    def settings(self) -> dict[str, str]:
        """Return the settings of a service in a container, which migrates before it serves."""
        return {"BETTER_AUTH_SECRET": SECRET, "HOST": "::", "PORT": "8000", "WEB_CONCURRENCY": "2", **self.urls()}

    def urls(self) -> dict[str, str]:
        """Return the URLs by which a container reaches the database."""
        owner = self.url.set(query={"host": "/mnt"}, host=None, port=None)
        web = owner.set(username="todo_web")
        return {"DATABASE_URL": format_url(web), "MIGRATION_DATABASE_URL": format_url(owner)}


def format_url(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def connect(url: URL) -> Iterator[Any]:
    """Give a cursor, in autocommit mode."""
    with closing(psycopg2.connect(format_url(url))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        yield cursor


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


@pytest.fixture(scope="module")
def neon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """The owner's URL of a database with the roles of docs/deploy-platforms.md. The owner has the rights as at Neon."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("neon") / "postgres")
    postgres.start()
    with connect(make_url(postgres.url("postgres"))) as cursor:
        cursor.execute(f"CREATE ROLE neondb_owner LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}'")
    owner = make_url(postgres.url("postgres")).set(username="neondb_owner", password=PASSWORD)
    with connect(owner) as cursor:
        cursor.execute("CREATE DATABASE neondb")
    [statements] = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    with connect(owner.set(database="neondb")) as cursor:
        for statement in re.sub(r"'the \w+ password'", f"'{PASSWORD}'", statements).split(";"):
            if statement.strip():
                cursor.execute(statement)
    with connect(owner.set(database="neondb", username="todo_auth")) as cursor:
        cursor.execute("CREATE TABLE users (); SELECT 'auth.users'::regclass")
    yield owner
    postgres.close()


@pytest.fixture
def database(neon: URL, folder: Path) -> Iterator[Database]:
    """An empty database, which containers reach by a socket."""
    database = Database(neon.set(database=f"todo_{secrets.token_hex(4)}"), folder / secrets.token_hex(4))
    with connect(neon) as cursor:
        cursor.execute(f"CREATE DATABASE {database.url.database}")
    database.sockets.mkdir()
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
    trial = read_compose({}, "compose.try.yaml")["services"]["todo"]
    trial_settings = {
        **settings,
        **trial["environment"],
        **{name: settings[name] for name in settings if "URL" in name},
    }
    del trial_settings["BETTER_AUTH_SECRET"]
    start = read_platforms()["deploy/render-free.yaml"].start or []

    with (
        image.contain(start, settings, database) as free,
        image.contain(trial["command"], trial_settings, database, is_full=False) as trial_container,
    ):
        for container in (free, trial_container):
            wait_until(partial(is_healthy, container), seconds=40)
            assert '{"status":"ready"}' in container.request(8000, make_request("GET", "/readyz", ""))
            # The service does not have the owner's URL.
            wait_until(partial(has_all_workers, container))
            processes = [container.first, *container.first.children()]
            assert [process.pid for process in processes if "MIGRATION_DATABASE_URL" in process.environ()] == []

        header = trial_container.run("flask", "token", "--header").stdout.strip()
        assert " 200 " in trial_container.request(8000, make_request("GET", "/api/tasks", header))

        # A process whose parent has ended gets process 1 as its parent.
        assert free.run("sh", "-c", "sleep 2 >/dev/null 2>&1 &").returncode == 0
        wait_until(lambda: len(free.first.children()) == 3)
        wait_until(lambda: len(free.first.children()) == 2)

        header = f"Authorization: Bearer {issue_token(Settings(better_auth_secret=SECRET), 'contained', 600)}"
        with connect(database.url) as cursor, free.connect(8000) as connection:
            cursor.execute("BEGIN; LOCK TABLE todo.tasks")
            connection.sendall(make_request("POST", "/api/tasks", header, '{"title": "x"}').encode())
            wait_until(lambda: count_waiting(database) == 1)
            free.first.terminate()
            time.sleep(0.3)
            cursor.execute("ROLLBACK")
            assert " 201 " in read_all(connection)
        status, output = free.wait(10)
        assert (status, "Traceback" in output) == (0, False), output
        assert trial_container.stop(10)[0] == 0


def make_request(method: str, path: str, header: str, body: str = "") -> str:
    """Return a request after which the service closes the connection."""
    headers = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}"]
    headers += ["Content-Type: application/json"] if body else []
    return "\r\n".join([*headers, *([header] if header else []), "", body])


def is_healthy(container: Container) -> bool:
    return container.run(*SAID["HEALTHCHECK"]).returncode == 0


def has_all_workers(container: Container) -> bool:
    return len(container.first.children()) == int(container.first.environ()["WEB_CONCURRENCY"])


def count_waiting(database: Database) -> int:
    """Return how many statements wait for a lock."""
    with connect(database.url) as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


@needs_namespaces
def test_a_stop_ends_process_1_while_it_loads(image: Image, database: Database) -> None:
    def stop_after(seconds: float) -> tuple[int, str]:
        with image.contain(SAID["CMD"], database.settings(), database) as container:
            wait_until(container.handles_stop)
            time.sleep(seconds)
            return container.stop(15)  # Six load at once.

    moments = (0, 0.05, 0.2, 0.5, 1.0, 1.5)
    with ThreadPoolExecutor(len(moments)) as threads:
        stops = list(threads.map(stop_after, moments))
    assert stops[0] == (0, "")  # before gunicorn has started
    assert [(status, "Traceback" in output) for status, output in stops] == [(0, False)] * len(moments)


@needs_namespaces
def test_a_stop_ends_a_migration_that_waits_and_reports_failure(image: Image, database: Database) -> None:
    with connect(database.url) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (int.from_bytes(b"todo", "big"),))
        with image.contain(MIGRATE, database.settings(), database) as container:
            wait_until(lambda: len(container.first.children()) == 1)
            wait_until(lambda: count_younger_sessions(cursor), seconds=30)
            time.sleep(1)
            status, output = container.stop(5)
    assert (status, "Another migration runs" in output) == (143, True), output


def count_younger_sessions(cursor: Any) -> int:
    """Return how many sessions of this database began after the session of the cursor."""
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_start >"
        " (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"
    )
    return int(cursor.fetchone()[0])


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

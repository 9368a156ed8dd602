"""Run the commands of the Dockerfiles and compose.yaml in a folder with only the copied files, without write access.

This replaces `docker build` and `docker compose up` where Docker is missing. It tests neither the base images nor
Docker.
"""

import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import make_url

from config import Settings
from embedded import EmbeddedPostgres
from embedded.programs import find_programs
from tests.support.clusters import as_server_s_user, wait_until
from tests.support.commands import ROOT, call, free_port
from tests.support.databases import SECRET
from tests.support.docker_files import list_context, read_compose, read_dockerfile
from tests.support.pgbouncer import PROGRAM as PGBOUNCER
from tests.support.wire import Wire
from todo.auth.tokens import issue_token

DOCKERFILE = read_dockerfile(ROOT / "Dockerfile")
PASSWORDS = {name: secrets.token_hex(8) for name in ("POSTGRES_PASSWORD", "TODO_OWNER_PASSWORD", "TODO_WEB_PASSWORD")}
# The package index in this machine's pip configuration.
PIP = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


class Image:
    """A folder built as the Dockerfile describes."""

    def __init__(self, folder: Path) -> None:
        # In place of the image's Python: a virtual environment without packages.
        venv.create(folder / "python", with_pip=True)
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


class Deployment(NamedTuple):
    """An image, and compose.yaml with addresses of this machine."""

    image: Image
    services: Any
    port: int


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # The user of the service must be able to enter.
        yield Path(name)


@pytest.fixture(scope="module")
def postgres_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A PostgreSQL, initialized by the scripts that compose.yaml mounts."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("container") / "postgres")
    postgres.start()
    superuser = postgres.url("postgres")
    programs = find_programs(postgres.home.path / "data")
    environment = os.environ | PASSWORDS | {"PATH": f"{programs}:{os.environ['PATH']}", "POSTGRES_USER": "postgres"}
    url = make_url(superuser)
    environment |= {"PGHOST": str(url.query["host"]), "PGPASSWORD": str(url.password)}
    psql = ["psql", "--quiet", "--username=postgres", "--dbname=postgres"]
    subprocess.run([*psql, "--command", "ALTER DATABASE todo RENAME TO other"], env=environment, check=True)
    for volume in read_compose(PASSWORDS)["services"]["postgres"]["volumes"][1:]:
        source = ROOT / volume.split(":")[0]
        command = [*psql, "--file", str(source)] if source.suffix == ".sql" else ["sh", str(source)]
        subprocess.run(command, env=environment, check=True)
    with Wire(url) as relay:
        yield relay.port
    postgres.close()


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
def deployment(folder: Path, postgres_port: int, pgbouncer_port: int) -> Deployment:
    services = read_compose(PASSWORDS | {"BETTER_AUTH_SECRET": SECRET})["services"]
    port = free_port()
    for name in ("migrate", "todo"):
        settings = services[name]["environment"]
        url = settings["DATABASE_URL"].replace("@postgres:5432", f"@127.0.0.1:{postgres_port}")
        url = url.replace("@pgbouncer:6432", f"@127.0.0.1:{pgbouncer_port}")
        settings["DATABASE_URL"] = f"{url}?sslmode=disable&gssencmode=disable"  # The relay does not support TLS.
    services["todo"]["environment"]["PORT"] = str(port)
    return Deployment(Image(folder), services, port)


@pytest.mark.skipif(not PGBOUNCER, reason="PgBouncer is not installed")
def test_the_image_builds_migrates_serves_and_stops(deployment: Deployment) -> None:
    image, services, port = deployment
    said = {each.name: each.words for each in DOCKERFILE}
    settings = services["todo"]["environment"]
    assert image.run(said["HEALTHCHECK"], settings)[0] != 0

    status, output = image.run(services["migrate"]["command"], services["migrate"]["environment"])
    assert status == 0, output
    assert "The database is at migration" in output

    service = image.start(said["CMD"], settings)
    try:
        wait_until(lambda: service.poll() is not None or image.run(said["HEALTHCHECK"], settings)[0] == 0, seconds=30)
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

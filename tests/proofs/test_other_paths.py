"""The lines for other paths in docs/other-frontends.md, in the real Next.js, nginx and Caddy."""

import json
import re
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import pytest

from config import Settings
from tests.support import better_auth, frontend
from tests.support.commands import ROOT, free_port, make_environment, serve
from tests.support.databases import SECRET, Database
from tests.support.proxies import INSTALLED, PROXIES
from todo.auth.tokens import issue_token

PAGE = (ROOT / "docs" / "other-frontends.md").read_text()
PREFIXES = ("/api/todos", "/api/v1/tasks", "/api/users/{user_id}/tasks", "/tasks")
# Where each proxy's file gets the lines.
PLACES = {"nginx": "    location / {\n        # One", "caddy": "\t# /readyz queries"}
LANGUAGES = {"next": "ts", "nginx": "nginx", "caddy": "caddyfile"}


class Front(NamedTuple):
    """A server with the lines, in front of the service."""

    url: str
    connect: Callable[[], HTTPConnection]


def read_lines(name: str) -> str:
    """Return the lines of the page for a server."""
    [lines] = re.findall(rf"^```{LANGUAGES[name]}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(lines)


@pytest.fixture(scope="module")
def service_port(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port, log = free_port(), tmp_path_factory.mktemp("paths") / "service.log"
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
    with serve(port, "--bind", f"127.0.0.1:{port}", "--workers", "1", settings=settings, log=log):
        yield port


@pytest.fixture(scope="module", params=list(LANGUAGES))
def front(
    request: pytest.FixtureRequest, service_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    name, folder = request.param, tmp_path_factory.mktemp("front")
    if name == "next":
        if missing := better_auth.find_missing():
            pytest.skip(missing)
        with next_dev(folder, service_port) as front:
            yield front
        return
    if not INSTALLED[name]:
        pytest.skip(f"{name} is not installed")
    lines, place = textwrap.indent(read_lines(name), "    "), PLACES[name]
    with PROXIES[name](service_port, folder, {place: lines + place}) as proxy:
        yield Front(f"https://localhost:{proxy.port}", proxy.connect)


@contextmanager
def next_dev(folder: Path, service_port: int) -> Iterator[Front]:
    """Run Next.js with the configuration of the page and an empty page. Nothing has to be built."""
    frontend.install()
    (folder / "node_modules").symlink_to(frontend.FOLDER / "node_modules")
    (folder / "next.config.ts").write_text(read_lines("next"))
    (folder / "pages").mkdir()
    (folder / "pages" / "index.js").write_text("export default function Page() {}\n")
    front = Front(f"http://localhost:{(port := free_port())}", lambda: HTTPConnection("localhost", port, timeout=10))
    command = ["node", "node_modules/next/dist/bin/next", "dev", "--hostname", "localhost", "--port", str(port)]
    settings = {"API_URL": f"http://127.0.0.1:{service_port}", "NEXT_TELEMETRY_DISABLED": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=make_environment(settings), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not is_served(front):
            assert time.monotonic() < deadline, (folder / "log").read_text()
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield front
    finally:
        process.terminate()
        process.wait(30)


def is_served(front: Front) -> bool:
    connection = front.connect()
    try:
        connection.request("GET", "/api/tasks")
        return connection.getresponse().status == 401
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def exchange(front: Front, user_id: str, method: str, url: str, body: Any = None) -> tuple[int, Any, Any]:
    """Send a request with the user's token. Return the status, the headers and the body."""
    token = issue_token(Settings(better_auth_secret=SECRET), user_id, 600)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = front.connect()
    connection.request(method, url.removeprefix(front.url), None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, json.loads(content) if content else None


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_operation_works_at_another_path(front: Front, prefix: str) -> None:
    user_id = f"auth0|{uuid4().hex}"

    def call(method: str, url: str, body: Any = None) -> tuple[int, Any, Any]:
        return exchange(front, user_id, method, url, body)

    tasks = prefix.format(user_id=user_id.replace("|", "%7C"))
    status, headers, task = call("POST", tasks, {"title": "Buy milk"})
    assert (status, task["user_id"]) == (201, user_id)
    location = urljoin(f"{front.url}{tasks}", headers["Location"])
    assert location == f"{front.url}/api/tasks/{task['id']}"
    assert call("GET", location)[2] == task
    assert call("POST", f"{tasks}/", {"title": "Buy bread"})[0] == 201

    status, headers, page = call("GET", f"{tasks}?limit=1&search=buy%20")
    assert (status, [each["title"] for each in page]) == (200, ["Buy bread"])  # The query is kept.
    following = headers["Link"].partition("<")[2].partition(">")[0]
    assert urlsplit(following).path.endswith("/tasks")
    assert following.startswith(f"{front.url}/api/")
    assert [each["title"] for each in call("GET", following)[2]] == ["Buy milk"]

    path = f"{tasks}/{task['id']}"
    assert call("GET", path)[2] == task
    assert call("PUT", path, {"title": "Buy tea"})[2]["title"] == "Buy tea"
    assert call("PATCH", f"{path}/complete")[2]["completed"] is True
    assert call("DELETE", path)[0] == 204
    assert call("GET", path)[0] == 404
    assert call("GET", f"{tasks}?stauts=pending")[0] == 422


def test_a_path_with_another_user_stays_404(front: Front) -> None:
    assert exchange(front, "ada", "GET", "/api/users/ada/tasks")[0] == 200
    assert exchange(front, "ada", "GET", "/api/users/bob/tasks")[0] == 404


@pytest.mark.parametrize("front", ["nginx", "caddy"], indirect=True)
@pytest.mark.parametrize("path", ["/api/todosx", "/api/v1", "/api/users/tasks", "/tasksx", "/x/tasks"])
def test_no_further_path_is_rewritten(front: Front, path: str) -> None:
    assert exchange(front, "nobody", "GET", path)[0] == 404

"""The lines of docs/troubles.md are those of the program. Databases and requests that fail print them."""

import ast
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Settings
from tests.support.callers import Caller
from tests.support.commands import ROOT, free_port, invoke
from tests.support.databases import SECRET, Database, closing_pool
from todo import create_app

PAGE = (ROOT / "docs" / "troubles.md").read_text()
ROWS = re.findall(r"^\| ((?:\d{3} )?\*.*?\*) \|", PAGE, re.MULTILINE)
FOLDERS = ("todo", "server", "embedded", "migrations", "bootstrap", "examples/nextjs/scripts")
FILES = ("Makefile", "config.py", "config_readers.py", "config_database_url.py", "wsgi.py")
# Written by libraries and by PostgreSQL, in part or whole. The other tests provoke most of them.
FOREIGN = {
    "More than … per ",
    "The database cannot be reached: … Connection refused",
    "could not translate host name",
    "password authentication failed for user",
    'database "…" does not exist',
    "server does not support SSL, but SSL was required",
    'root certificate file "…" does not exist',
    "permission denied for database",
    "No module named 'wsgi'",
    "Connection in use",
    "Permission denied",
    "Can't connect to",
}


def read_texts() -> str:
    """Return all texts of the program, with … for values."""
    paths = [ROOT / name for name in FILES]
    paths += [
        path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*") if path.suffix in {".py", ".sh", ".mjs"}
    ]
    return "\n".join(join_texts(path.read_text()) if path.suffix == ".py" else path.read_text() for path in paths)


def join_texts(source: str) -> str:
    """Return the texts in a module. The parts of a setting's message, name and problem, are joined."""
    texts = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        elif isinstance(node, ast.Call) and len(node.args) == 2 and getattr(node.func, "id", "") == "SettingError":
            texts.append(" ".join(str(part.value) for part in node.args if isinstance(part, ast.Constant)))
    return "\n".join(texts)


def test_every_quoted_line_is_one_of_the_program() -> None:
    texts = re.sub(r"\$\{\w+\}|\$\w+", "…", read_texts())
    quoted = {line.strip("…") for row in ROWS for line in re.findall(r"\*(.*?)\*", row)} - FOREIGN
    assert len(quoted) > 25
    assert sorted(line for line in quoted if line.removeprefix("Error: ") not in texts) == []


@contextmanager
def refusing(answer: bytes) -> Iterator[str]:
    """Answer requests for TLS: S is a promise of it, N a refusal. Yield the URL without its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                while True:
                    client, _ = listener.accept()
                    client.recv(8)
                    client.sendall(answer)
                    client.close()
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/db"
        listener.shutdown(socket.SHUT_RDWR)


def list_wrong_databases(database: Database) -> Iterator[tuple[str, str]]:
    """Yield the beginnings of lines, and the URLs of databases that cause them."""
    yield "The database cannot be reached: … Connection refused", f"postgresql://u:p@127.0.0.1:{free_port()}/db"
    yield "could not translate host name", "postgresql://u:p@no-such-host.invalid/db"
    url = database.server.superuser_url.set(drivername="postgresql", database="no_such_database")
    yield 'database "…" does not exist', url.render_as_string(hide_password=False)
    wrong = url.set(username=database.role("web"), password="wrong", database=database.name)
    yield "password authentication failed for user", wrong.render_as_string(hide_password=False)
    with refusing(b"N") as refused:
        yield "server does not support SSL, but SSL was required", f"{refused}?sslmode=require"
    with refusing(b"S") as promised:
        yield 'root certificate file "…" does not exist', f"{promised}?sslmode=verify-full"


def test_a_database_that_cannot_be_used_prints_the_line(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # Without a root certificate.
    for line, url in list_wrong_databases(database):
        assert any(line in row for row in ROWS), line
        failed = invoke("db", "upgrade", settings={"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": url})
        assert failed.exit_code == 1
        assert re.search(re.escape(line).replace("…", ".*"), failed.output), failed.output
        assert failed.output.count("\n") == 1


@pytest.fixture
def failures(
    client: FlaskClient, alice: Caller, bob: Caller, database: Database, settings: Settings
) -> dict[str, Callable[[], TestResponse]]:
    """The requests that fail, by the row of the page that says so."""
    task = alice.add()
    path = f"/api/tasks/{task['id']}"
    limited = create_app(database.settings(rate_limit="1/hour"))

    def with_token(secret: str = SECRET, **claims: object) -> TestResponse:
        token = jwt.encode({"sub": "alice", "exp": time.time() + 60, **claims}, secret, "HS256")
        return alice.get("/api/tasks", headers={"Authorization": f"Bearer {token}"})

    def exceed() -> TestResponse:
        with closing_pool(limited) as app:
            caller = Caller(app.test_client(), settings)
            return [caller.get("/api/tasks") for _ in range(2)][-1]

    def change_twice() -> TestResponse:
        alice.patch(path, json={"title": "changed"})
        return alice.patch(path, json={"title": "again"}, headers={"If-Match": task["etag"]})

    return {
        "401 *No token*": lambda: client.get("/api/tasks"),
        "401 *This is not a JWT": lambda: alice.get("/api/tasks", headers={"Authorization": "Bearer a.b"}),
        "401 *The token has expired*": lambda: with_token(exp=1),
        "401 *The token's signature is wrong*": lambda: with_token("x" * 32),
        "404 *": lambda: bob.get(path),
        "412 *": change_twice,
        "422 *Unknown parameter": lambda: alice.get("/api/tasks?stauts=pending"),
        "422 *Cannot be set here": lambda: alice.patch(path, json={"is_done": True}),
        "422 *an offset from UTC*": lambda: alice.patch(path, json={"due_date": "2026-12-31T17:00"}),
        "415 *": lambda: alice.post("/api/tasks", data="title=a"),
        "429 *More than": exceed,
    }


def test_a_request_that_fails_has_the_line(failures: dict[str, Callable[[], TestResponse]]) -> None:
    for beginning, fail in failures.items():
        [row] = [row for row in ROWS if row.startswith(beginning)]
        status, line = re.findall(r"^(\d{3}) \*(.*?)…?\*$", row)[0]
        response = fail()
        assert response.status_code == int(status)
        assert re.search(re.escape(line).replace("…", ".*"), response.json["detail"])  # type: ignore[index]


def test_a_user_sees_no_tasks_of_another_user_id(alice: Caller, bob: Caller) -> None:
    alice.add()
    assert bob.titles() == []

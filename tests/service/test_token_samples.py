"""The service accepts exactly the tokens that Better Auth issues: raw requests to gunicorn."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

import pytest

from tests.support.commands import free_port, serve
from tests.support.databases import SECRET, Database
from tests.support.jwks_server import KeyServer, respond
from tests.support.token_samples import (
    CONFIGURATIONS,
    HEADER_FORMS,
    VECTORS,
    Configuration,
    find_configuration,
    find_user_id,
    read_token,
)
from todo import create_app

VALID = next(vector for vector in VECTORS if vector["name"] == "control-es256")


@contextmanager
def key_server() -> Iterator[KeyServer]:
    """List the keys of the configuration that the path names, first the keys from before the rotation."""
    with KeyServer() as server:

        def answer(request: BaseHTTPRequestHandler) -> None:
            configuration = CONFIGURATIONS[int(request.path.rpartition("/")[2])]
            stale = configuration.stale_jwks if server.asked.count(request.path) == 1 else None
            respond(request, str(stale or configuration.jwks).encode())

        server.answer = answer
        yield server


@pytest.fixture(scope="module")
def port(database: Database) -> Iterator[int]:
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": database.url()}
    with key_server() as keys:
        settings |= {"SAMPLES_DATABASE_URL": database.url(), "SAMPLES_JWKS": keys.url}
        arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "1")
        with serve(port, *arguments, settings=settings, application="tests.support.token_samples_app:app"):
            yield port


@pytest.fixture(scope="module")
def attacker() -> Iterator[KeyServer]:
    """The URL that some tokens name as the place of their key."""
    with KeyServer(port=45999) as attacker:
        yield attacker


class Answer(NamedTuple):
    status: int
    challenge: str | None
    text: str


def create(port: int, configuration: Configuration, *headers: tuple[str, str]) -> Answer:
    """Create a task with a raw request, because HTTP clients refuse to send some of these headers."""
    head = [
        "POST /api/tasks HTTP/1.1",
        f"Host: {CONFIGURATIONS.index(configuration)}.samples",
        *(f"{name}: {value}" for name, value in headers),
        "Content-Type: application/json",
        "Content-Length: 14",
        "Connection: close",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall("\r\n".join([*head, "", '{"title": "x"}']).encode())
        response = http.client.HTTPResponse(client)
        response.begin()
        return Answer(response.status, response.headers["WWW-Authenticate"], response.read().decode())


def check_refusal(answer: Answer, token: str) -> None:
    """Assert a 401 with a reason and without the token."""
    assert answer.status == 401, answer.text
    assert str(answer.challenge).startswith("Bearer ")
    assert json.loads(answer.text)["detail"]
    assert len(token) < 10 or token not in answer.text


def is_stopped_by_gunicorn(token: str) -> bool:
    """Return whether gunicorn refuses the header: it contains NUL or has more than 32 KiB."""
    return "\0" in token or len(token) > 32_000


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_sample_is_accepted_or_refused_as_recorded(
    port: int, attacker: KeyServer, vector: dict[str, Any]
) -> None:
    token = read_token(vector)
    answer = create(port, find_configuration(vector), ("Authorization", f"Bearer {token}"))
    user_id = find_user_id(vector)
    if user_id is not None:
        assert answer.status == 201, answer.text
        assert json.loads(answer.text)["user_id"] == user_id
    elif is_stopped_by_gunicorn(token):
        assert answer.status in {400, 431}
    else:
        check_refusal(answer, token)
    assert attacker.asked == []


def test_the_application_refuses_what_gunicorn_refuses(database: Database) -> None:
    stopped = [vector for vector in VECTORS if is_stopped_by_gunicorn(read_token(vector))]
    assert len(stopped) == 1
    with key_server() as keys:
        for vector in stopped:
            token, configuration = read_token(vector), find_configuration(vector)
            url = f"{keys.url}/{CONFIGURATIONS.index(configuration)}"
            client = create_app(configuration.settings(database.url(), url)).test_client()
            response = client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"})
            check_refusal(Answer(response.status_code, response.headers["WWW-Authenticate"], response.text), token)


@pytest.mark.parametrize("form", HEADER_FORMS, ids=lambda form: form["name"])
def test_every_header_form_is_accepted_or_refused_as_recorded(port: int, form: dict[str, Any]) -> None:
    token = VALID["token"]
    answer = create(
        port,
        find_configuration(VALID),
        *((name, value.replace("{t}", token)) for name, value in form["headers"]),
    )
    if form["valid"]:
        assert answer.status == 201, answer.text
    else:
        check_refusal(answer, token)

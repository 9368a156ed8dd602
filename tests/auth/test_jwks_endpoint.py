"""A broken JWKS endpoint: 503 in bounded time, and an unusable key does not affect the others."""

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.callers import read_problem, read_tasks
from tests.support.databases import Database, closing_pool
from tests.support.jwks_server import (
    ISSUER,
    KEY,
    NEW_KEY,
    Ask,
    KeyServer,
    SigningKey,
    read_unavailable,
    respond,
    wait_for,
)
from tests.support.logs import Log
from todo import create_app
from todo.auth.jwks.cache import TIMEOUT_SECONDS


def hang(request: BaseHTTPRequestHandler) -> None:
    """Send a header that never ends, one byte at a time: each byte arrives in time, the whole never does."""
    for _ in range(200):
        request.wfile.write(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda request: respond(request, b"<!doctype html><title>Sign in</title>"), "something else than a JWKS"),
        (lambda request: respond(request, b"[]"), "something else than a JWKS"),
        (lambda request: respond(request, b'{"keys": {}}'), "something else than a JWKS"),
        (lambda request: respond(request, b"[" * 100_000), "something else than a JWKS"),
        (lambda request: respond(request, b"\xff\xfe"), "something else than a JWKS"),
        (lambda request: respond(request, b"", 302, Location="/elsewhere"), "302 and redirects are not followed"),
        (lambda request: respond(request, b" " * 10_000_000), "more than 524288 bytes"),
        (lambda request: respond(request, b"{}", Content_Length="99"), "something else than a JWKS"),
        (lambda request: request.wfile.write(b"nonsense\r\n\r\n"), "does not answer in HTTP"),
        (hang, "not in time"),
    ],
    ids=["html", "list", "object", "deep", "not-utf8", "redirect", "large", "cut", "not-http", "endless"],
)
def test_a_broken_endpoint_is_503_in_time_and_the_log_says_why(
    keys: KeyServer,
    ask: Ask,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[BaseHTTPRequestHandler], None],
    reason: str,
) -> None:
    monkeypatch.setattr("todo.auth.jwks.cache.TIMEOUT_SECONDS", 0.5)
    keys.answer = answer
    started = time.monotonic()
    read_unavailable(ask())
    assert time.monotonic() - started < 3
    wait_for(lambda: any(keys.url in message for message in caplog.messages), seconds=3)
    [message] = [message for message in caplog.messages if keys.url in message]
    assert reason in message
    assert "/elsewhere" not in keys.asked


def test_an_endpoint_that_never_responds_is_503_in_time(
    keys: KeyServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TIMEOUT_SECONDS == 5
    monkeypatch.setattr("todo.auth.jwks.cache.TIMEOUT_SECONDS", 0.5)
    keys.delay = 4
    started = time.monotonic()
    read_unavailable(ask())
    assert 0.5 <= time.monotonic() - started < 3


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "ES512", "RS256", "PS256"])
def test_a_key_without_alg_works_for_the_algorithms_of_its_type(keys: KeyServer, ask: Ask, algorithm: str) -> None:
    key = SigningKey(algorithm)
    jwk = {name: value for name, value in key.jwk.items() if name != "alg"}
    keys.answer = lambda request: respond(request, orjson.dumps({"keys": [jwk]}))
    read_tasks(ask(key))


USELESS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "text": lambda jwk: "nonsense",
    "no id": lambda jwk: {name: jwk[name] for name in jwk if name != "kid"},
    "a secret": lambda jwk: {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": jwk["kid"]},
    "for encryption": lambda jwk: jwk | {"use": "enc"},
    "for another algorithm": lambda jwk: jwk | {"alg": "ES256"},
    "an algorithm of another kind": lambda jwk: jwk | {"alg": ["EdDSA"]},
    "of another curve": lambda jwk: jwk | {"crv": "Ed448"},
    "cut short": lambda jwk: jwk | {"x": jwk["x"][:-4]},
    "a number": lambda jwk: jwk | {"x": 1},
    "an endless number": lambda jwk: {"kty": "RSA", "kid": jwk["kid"], "n": "endless"},
    "part of its private half": lambda jwk: jwk | {"p": jwk["x"]},
}


@pytest.mark.parametrize("interim", ["103 Early Hints", "102 Processing", "100 Continue"])
def test_interim_responses_before_the_keys_are_skipped(keys: KeyServer, ask: Ask, interim: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(f"HTTP/1.1 {interim}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode() * 2)
        keys.list_keys(request)

    keys.answer = answer
    read_tasks(ask())


def test_endless_interim_responses_are_503_in_time(keys: KeyServer, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        for _ in range(400):
            request.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            time.sleep(0.01)

    monkeypatch.setattr("todo.auth.jwks.cache.TIMEOUT_SECONDS", 0.5)
    keys.answer = answer
    started = time.monotonic()
    read_unavailable(ask())
    assert time.monotonic() - started < 3


def test_an_unreachable_endpoint_is_503_and_logged(keys: KeyServer, ask: Ask, log: Log) -> None:
    keys.close()
    request_id = read_unavailable(ask())["request_id"]
    assert log.find(message=f"The keys cannot be fetched from {keys.url}: [Errno 111] Connection refused")
    assert log.find(message="Keys that verify tokens are unavailable", request_id=request_id)


def test_the_query_of_the_jwks_url_is_sent_but_not_logged(
    keys: KeyServer, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    settings = database.settings(jwks_url=f"{keys.url}?key=hidden", auth_origin=ISSUER)
    assert "hidden" not in repr(settings)
    with closing_pool(create_app(settings)) as app:
        headers = {"Authorization": f"Bearer {KEY.sign()}"}
        assert app.test_client().get("/api/tasks", headers=headers).status_code == 200
        assert keys.asked == ["/api/auth/jwks?key=hidden"]
        keys.close()
        headers = {"Authorization": f"Bearer {NEW_KEY.sign()}"}
        assert app.test_client().get("/api/tasks", headers=headers).status_code == 503
    assert "hidden" not in caplog.text


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")  # Signing with a weak key warns.
@pytest.mark.parametrize("bits", [1024, 2048])
def test_a_weak_key_is_not_accepted(keys: KeyServer, ask: Ask, bits: int) -> None:
    keys.keys = [key := SigningKey("RS256", lambda: rsa.generate_private_key(65537, bits))]
    assert ask(key).status_code == (200 if bits == 2048 else 401)


def test_a_key_listed_with_its_private_half_is_not_accepted(keys: KeyServer, ask: Ask) -> None:
    keys.answer = lambda request: respond(request, orjson.dumps({"keys": [KEY.private_jwk, NEW_KEY.jwk]}))
    read_tasks(ask(NEW_KEY))
    read_problem(ask(KEY), 401)


def test_two_keys_with_one_id_serve_different_algorithms(keys: KeyServer, ask: Ask) -> None:
    other = SigningKey("ES256")
    other.kid = KEY.kid
    keys.keys = [KEY, other]
    read_tasks(ask(KEY))
    read_tasks(ask(other))


def test_use_and_alg_of_a_key_are_optional(keys: KeyServer, ask: Ask) -> None:
    jwk = KEY.jwk | {"use": None, "alg": None}
    keys.answer = lambda request: respond(request, orjson.dumps({"keys": [jwk]}))
    read_tasks(ask())


@pytest.mark.parametrize("name", USELESS)
def test_an_unusable_key_is_skipped_and_the_others_work(keys: KeyServer, ask: Ask, name: str) -> None:
    listed = orjson.dumps({"keys": [USELESS[name](KEY.jwk), NEW_KEY.jwk]})
    keys.answer = lambda request: respond(request, listed.replace(b'"endless"', b"1" * 5000))
    read_tasks(ask(NEW_KEY))
    read_problem(ask(KEY), 401)

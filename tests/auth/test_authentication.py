"""Authentication: a valid token in one header, or 401 before any other check."""

import base64
import time
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Settings
from tests.support.callers import Caller, list_routes, read_problem
from tests.support.databases import SECRET, Database
from todo import create_app
from todo.auth.tokens import issue_token

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
BLANK = "The token's sub claim names no user: it must be a string that is not blank."
CONTROL = "The token's sub claim names no user: it must have no control characters."


def sign(settings: Settings, **claims: Any) -> str:
    """Sign a token with the configured secret. None leaves a claim out."""
    claims = {"sub": "somebody", "exp": int(time.time()) + 60, **claims}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, SECRET, "HS256")


def ask(client: FlaskClient, token: str) -> TestResponse:
    return client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"exp": None}, "The token has no exp claim."),
        ({"exp": 1}, "The token has expired; get a new one."),
        ({"nbf": 99999999999}, "The token is not valid yet; compare the clocks."),
        ({"sub": None}, BLANK),
        ({"sub": ""}, BLANK),
        ({"sub": " \t"}, BLANK),
        ({"sub": "a" * 256}, "The token's sub claim names no user: it must have at most 255 characters."),
        ({"sub": "a\x00"}, CONTROL),
        ({"sub": "a\x85"}, CONTROL),
        ({"sub": "\ud800"}, CONTROL),
        ({"sub": "user\u202enimda"}, CONTROL),
        ({"exp": "99999999999"}, "The token's exp claim must be a number."),
        ({"exp": True}, "The token has expired; get a new one."),
        ({"sub": None, "email": "a@b.example"}, BLANK),
    ],
)  # fmt: skip
def test_a_signed_token_with_invalid_claims_is_401_with_a_reason(
    client: FlaskClient, settings: Settings, claims: dict[str, Any], detail: str
) -> None:
    token = sign(settings, **claims)
    assert read_refusal(ask(client, token), token)["detail"] == detail


def test_a_user_id_may_have_255_characters_of_any_script(client: FlaskClient, settings: Settings) -> None:
    for user_id in ("é" * 255, "買い物@例え.jp", "auth0|abc", "a b", "👩\u200d🚀"):
        assert ask(client, sign(settings, sub=user_id)).status_code == 200


def test_a_token_of_another_secret_or_algorithm_is_refused(client: FlaskClient, settings: Settings) -> None:
    claims = {"sub": "somebody", "exp": int(time.time()) + 60}
    forged = jwt.encode(claims, "x" * 40, "HS256")
    assert read_refusal(ask(client, forged), forged)["detail"].startswith("The token's signature is wrong")
    other = jwt.encode(claims, SECRET * 2, "HS512")
    assert "accepts HS256" in read_refusal(ask(client, other), other)["detail"]
    unsigned = jwt.encode(claims, "", "none")
    read_refusal(ask(client, unsigned), unsigned)


def test_the_secret_is_used_unchanged(database: Database) -> None:
    secret = f" {SECRET}="
    client = create_app(Settings.read({"NEON_DB_URL": database.url(), "BETTER_AUTH_SECRET": secret})).test_client()
    claims = {"sub": "somebody", "exp": int(time.time()) + 60}
    assert ask(client, jwt.encode(claims, secret, "HS256")).status_code == 200
    for other in (secret.strip(), secret.rstrip("=")):
        assert ask(client, jwt.encode(claims, other, "HS256")).status_code == 401


def test_issuer_and_audience_are_required_when_configured(database: Database) -> None:
    settings = database.settings(jwt_issuer=("https://auth.example",), jwt_audience=("todo",))
    client = create_app(settings).test_client()
    right = {"iss": "https://auth.example", "aud": ["other", "todo"]}
    assert ask(client, sign(settings, **right)).status_code == 200
    for wrong, expected in (({"aud": "x"}, "todo"), ({"aud": None}, "aud"), ({"iss": "x"}, "https://auth.example")):
        token = sign(settings, **(right | wrong))
        assert expected in read_refusal(ask(client, token), token)["detail"]


def test_one_of_several_issuers_and_audiences_is_enough(database: Database) -> None:
    settings = database.settings(jwt_issuer=("https://a.example", "https://b.example"), jwt_audience=("x", "y"))
    client = create_app(settings).test_client()
    right: dict[str, Any] = {"iss": "https://a.example", "aud": "x"}
    for other in ({}, {"iss": "https://b.example", "aud": "y"}, {"aud": ["z", "y"]}):
        assert ask(client, sign(settings, **right | other)).status_code == 200
    for wrong, detail in (
        (
            {"iss": "https://a.example,https://b.example"},
            "this service expects https://a.example or https://b.example.",
        ),
        ({"iss": "https://a"}, "this service expects https://a.example or https://b.example."),
        ({"iss": None}, "The token has no iss claim."),
        ({"aud": "z"}, "this service expects x or y."),
        ({"aud": None}, "The token has no aud claim."),
    ):
        token = sign(settings, **right | wrong)
        assert read_refusal(ask(client, token), token)["detail"].endswith(detail)
    claims = jwt.decode(issue_token(settings, "alice", 60), SECRET, ["HS256"], options={"verify_aud": False})
    assert (claims["iss"], claims["aud"]) == ("https://a.example", "x")


def test_a_token_must_be_base64url_without_padding(client: FlaskClient, settings: Settings) -> None:
    """RFC 7515 section 2. Otherwise, one token would have many spellings."""
    # A signature with "-" and "_". Its last character has two bits that are not used.
    tokens = (sign(settings, sub=f"somebody {number}") for number in range(10_000))
    token = next(token for token in tokens if {"-", "_"} <= set(token.rpartition(".")[2]))
    assert ask(client, token).status_code == 200
    header, payload, signature = token.split(".")
    unused = ALPHABET[ALPHABET.index(signature[-1]) + 1]
    for changed in (
        f"{token}=",
        f"{token}====",
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}=.{signature}",
        f"{header}.{payload}==.{signature}",
        f"{header}~.{payload}.{signature}",
        f"{header}.{payload[:8]}+/%{payload[8:]}.{signature}",
        f"{header}.{payload}.{signature[:8]}~{signature[8:]}",
        token.replace("-", "+").replace("_", "/"),
        f"{header}.{payload}.{signature.replace('-', '+')}",
        f"{header}.{payload}.{signature.replace('_', '/')}",
        f"{header}.{payload}.{signature[:-1]}{unused}",
        f"{header}.{payload}.{signature}A",
        f"{header}.{payload}.",
        f"{header}..{signature}",
        f".{payload}.{signature}",
        "..",
    ):
        assert changed != token
        read_refusal(ask(client, changed), changed)


def test_another_claim_can_hold_the_user_id(database: Database) -> None:
    settings = database.settings(jwt_user_claim="userId")
    client = create_app(settings).test_client()
    response = client.post(
        "/api/tasks",
        json={"title": "x"},
        headers={"Authorization": f"Bearer {sign(settings, userId='the-user')}"},
    )
    assert response.json is not None
    assert response.json["user_id"] == "the-user"
    read_refusal(ask(client, sign(settings)), sign(settings))


def test_every_operation_without_a_token_is_401(app: Flask, client: FlaskClient) -> None:
    for method, path in sorted(list_routes(app)):
        for task_id in ("1", "abc", "9" * 30, "0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a"):
            response = client.open(
                path.format(task_id=task_id, user_id="alice"), method=method, data=b"{", content_type="text/plain"
            )
            read_refusal(response, "", error='realm="todo"')


def test_a_large_body_without_a_token_is_401(client: FlaskClient) -> None:
    read_refusal(
        client.post("/api/tasks", data=b"x" * 100_000, content_type="application/json"), "", error='realm="todo"'
    )


def test_a_token_expires_to_the_second(client: FlaskClient, settings: Settings) -> None:
    token = sign(settings, exp=int(time.time()))
    assert "expired" in read_refusal(ask(client, token), token)["detail"]


def test_a_token_from_a_clock_slightly_ahead_is_accepted(client: FlaskClient, settings: Settings) -> None:
    now = int(time.time())
    assert ask(client, sign(settings, iat=now + 4, nbf=now + 4)).status_code == 200
    for claim in ("iat", "nbf"):
        token = sign(settings, **{claim: now + 30})
        assert "compare the clocks" in read_refusal(ask(client, token), token)["detail"]


def test_a_token_applies_to_one_request_only(client: FlaskClient, alice: Caller) -> None:
    assert alice.get("/api/tasks").status_code == 200
    read_refusal(client.get("/api/tasks"), "", error='realm="todo"')


def test_hostile_tokens_are_401_and_cost_little(client: FlaskClient) -> None:
    def encode(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    deep = encode("[" * 100_000)
    for token in (
        "a",
        "a.b.c",
        "...",
        f"{deep}.{deep}.x",
        f"{encode('{}')}.{deep}.x",
        "A" * 1_000_000,
        encode("1") * 3,
    ):
        started = time.perf_counter()
        read_refusal(ask(client, token), token)
        assert time.perf_counter() - started < 1


def read_refusal(response: TestResponse, token: str, error: str = "error=") -> dict[str, Any]:
    """Assert a 401 that explains how to authenticate and does not contain the token."""
    problem = read_problem(response, 401)
    assert response.headers["WWW-Authenticate"].startswith(f"Bearer {error}")
    assert not token or len(token) < 10 or token not in response.text
    assert SECRET not in response.text
    return problem

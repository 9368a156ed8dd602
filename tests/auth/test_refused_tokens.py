"""The detail of a 401 tells a frontend developer what is wrong with a token and what the service expects."""

import hmac
import json
import time
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jwt.utils import base64url_encode

from tests.support.callers import read_problem
from tests.support.databases import SECRET
from tests.support.jwks_server import ISSUER, KEY, Ask, SigningKey

ASK_BETTER_AUTH = "get a JWT from Better Auth's /api/auth/token and send that."
SESSION_CACHE = f"The token is Better Auth's session cache; {ASK_BETTER_AUTH}"
OTHER_PURPOSE = f"The token is for another purpose, such as the session cache; {ASK_BETTER_AUTH}"


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"exp": 1}, "The token has expired; get a new one."),
        ({"exp": None}, "The token has no exp claim."),
        ({"nbf": 99999999999}, "The token is not valid yet; compare the clocks."),
        ({"aud": "http://other"}, f"The token is for another audience; this service expects {ISSUER}."),
        ({"aud": None}, "The token has no aud claim."),
        ({"iss": "http://other"}, f"The token is from another issuer; this service expects {ISSUER}."),
        ({"iss": f"{ISSUER}/"}, f"The token is from another issuer; this service expects {ISSUER}."),
        ({"iss": None}, "The token has no iss claim."),
        (
            {"aud": ["better-auth:session-cache", ISSUER]},
            f"The token is Better Auth's session cache; {ASK_BETTER_AUTH}",
        ),
        ({"sub": None}, "The token's sub claim names no user: it must be a string that is not blank."),
    ],
)
def test_an_invalid_claim_is_named(ask: Ask, claims: dict[str, Any], detail: str) -> None:
    assert read_problem(ask(**claims), 401)["detail"] == detail


@pytest.mark.parametrize(("exp", "code"), [(-1, "token_expired"), (-3600, "token_expired"), ("soon", "token_invalid")])
def test_only_an_expired_token_has_the_code_of_one(ask: Ask, exp: int | str, code: str) -> None:
    expires_at = time.time() + exp if isinstance(exp, int) else exp
    assert read_problem(ask(exp=expires_at), 401)["code"] == code


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"kid": None}, "The token does not name its key; Better Auth's tokens do, in the header's kid."),
        ({"kid": "x"}, "The token's key is not in the JWKS: it is another server's, or the key was removed."),
        ({"typ": "better-auth.session-cache+jwt"}, OTHER_PURPOSE),
        ({"typ": "at+jwt"}, OTHER_PURPOSE),
        ({"typ": ["JWT"]}, OTHER_PURPOSE),
    ],
)
def test_an_invalid_token_header_is_named(ask: Ask, headers: dict[str, Any], detail: str) -> None:
    assert read_problem(ask(headers=headers), 401)["detail"] == detail


def test_an_unknown_key_is_reported(ask: Ask) -> None:
    key = SigningKey("ES256")
    key.kid = KEY.kid
    assert read_problem(ask(key), 401)["detail"] == "The token's key is one for another algorithm."


def test_a_wrong_signature_is_reported(ask: Ask) -> None:
    key = SigningKey()
    key.kid = KEY.kid
    detail = "The token's signature is wrong; it was made with another key or secret."
    assert read_problem(ask(key), 401)["detail"] == detail


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_a_token_in_another_encoding_is_refused(client: FlaskClient, encoding: str) -> None:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "alice", "exp": int(time.time()) + 600})
    for codings, status in (((encoding, "utf-8"), 401), (("utf-8", encoding), 401), (("utf-8", "utf-8"), 200)):
        texts = [json.dumps(part).encode(coding) for part, coding in zip(parts, codings, strict=True)]
        signed = b".".join(map(base64url_encode, texts))
        signature = base64url_encode(hmac.digest(SECRET.encode(), signed, "sha256"))
        headers = {"Authorization": f"Bearer {(signed + b'.' + signature).decode()}"}
        assert client.get("/api/tasks", headers=headers).status_code == status


def test_an_algorithm_that_is_not_configured_is_reported(client: FlaskClient, jwks_app: Flask) -> None:
    def refuse(client: FlaskClient, token: str) -> str:
        response = client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"})
        return str(read_problem(response, 401)["detail"])

    assert refuse(client, KEY.sign()) == (
        "The token is signed with EdDSA, for which this service needs BETTER_AUTH_URL or JWKS_URL;"
        " this service accepts HS256."
    )
    assert refuse(jwks_app.test_client(), jwt.encode({"sub": "x", "exp": 1}, SECRET, "HS256")) == (
        "The token is signed with HS256, for which this service needs BETTER_AUTH_SECRET;"
        " this service accepts EdDSA, ES256, ES512, RS256, PS256."
    )
    assert refuse(client, jwt.encode({"sub": "x"}, SECRET * 2, "HS512")) == (
        "The token is signed with another algorithm, or not at all; this service accepts HS256."
    )


@pytest.mark.parametrize(
    "token",
    [
        "D84BB1L9ReUpBgaBqB4gnIFgUa80My7k",
        "D84BB1L9ReUpBgaBqB4gnIFgUa80My7k.ySXQW82SWUCiC%2BILt6x%2F268u8ZinRPMhJxVGA%3D",
        "a.b.c.d.e",
    ],
)
def test_a_session_token_instead_of_a_jwt_is_reported(client: FlaskClient, token: str) -> None:
    response = client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"})
    detail = f"This is not a JWT; if it is Better Auth's session token, {ASK_BETTER_AUTH}"
    assert read_problem(response, 401)["detail"] == detail

"""Tokens of the real Better Auth, from sign-up to the task, during key rotation and an outage.

Better Auth uses the same database as the tasks, as on Neon.
"""

import time
from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Settings
from tests.support.better_auth import BetterAuth, find_missing, install
from tests.support.callers import read_problem, read_task, read_tasks
from tests.support.commands import call, free_port, serve
from tests.support.databases import SECRET, Database, closing_pool
from tests.support.jwks_server import SigningKey
from todo import create_app

missing = find_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    install()


@pytest.fixture
def database(own_database: Database) -> Database:
    """A database in which Better Auth can create its tables and keys."""
    return own_database


def call_as(client: FlaskClient, token: str, method: str = "GET", **options: Any) -> TestResponse:
    return client.open("/api/tasks", method=method, headers={"Authorization": f"Bearer {token}"}, **options)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "ES512", "RS256", "PS256", "HS256"])
def test_users_who_sign_up_have_their_own_tasks(database: Database, algorithm: str) -> None:
    auth = BetterAuth(database.url(), algorithm)
    environment = {"NEON_DB_URL": database.url(), "BETTER_AUTH_URL": auth.url, "BETTER_AUTH_SECRET": SECRET}
    with auth.serve(), closing_pool(create_app(Settings.read(environment))) as app:
        alice, bob = auth.sign_up("alice"), auth.sign_up("bob")
        token = alice.get_token()
        assert jwt.get_unverified_header(token)["alg"] == algorithm
        client = app.test_client()
        task = read_task(call_as(client, token, "POST", json={"title": "Buy milk"}), 201)
        assert task["user_id"] == alice.user_id
        assert read_tasks(call_as(client, token)) == [task]
        assert read_tasks(call_as(client, bob.get_token())) == []


@pytest.mark.parametrize("jwks_path", ["/jwks", "/.well-known/jwks.json"])
def test_better_auth_may_have_another_base_path(database: Database, jwks_path: str) -> None:
    auth = BetterAuth(database.url(), path="/neondb/auth", jwks_path=jwks_path)
    environment = {"NEON_DB_URL": database.url(), "BETTER_AUTH_URL": f"{auth.url}/neondb/auth"}
    if jwks_path != "/jwks":
        jwks_url = f"{auth.url}/neondb/auth{jwks_path}"
        environment |= {"BETTER_AUTH_URL": "", "JWKS_URL": jwks_url, "JWT_ISSUER": auth.url, "JWT_AUDIENCE": auth.url}
    with auth.serve(), closing_pool(create_app(Settings.read(environment))) as app:
        assert read_tasks(call_as(app.test_client(), auth.sign_up("alice").get_token())) == []


@pytest.mark.parametrize("algorithm", ["EdDSA", "HS256"])
@pytest.mark.parametrize("claim", ["sub", "email"])
def test_other_tokens_of_better_auth_are_refused(database: Database, algorithm: str, claim: str) -> None:
    auth = BetterAuth(database.url(), algorithm)
    environment = {"NEON_DB_URL": database.url(), "BETTER_AUTH_URL": auth.url, "BETTER_AUTH_SECRET": SECRET}
    with auth.serve(), closing_pool(create_app(Settings.read(environment | {"JWT_USER_CLAIM": claim}))) as app:
        cookies = auth.sign_up("alice").cookies
        client = app.test_client()
        session = read_problem(call_as(client, cookies["better-auth.session_token"]), 401)
        assert "/api/auth/token" in session["detail"]
        read_problem(call_as(client, cookies["better-auth.session_data"]), 401)
        for mail in auth.mails():
            assert "sub claim" in read_problem(call_as(client, mail), 401)["detail"]
        assert auth.mails()


def test_tokens_work_during_key_rotation_and_an_outage(database: Database) -> None:
    auth = BetterAuth(database.url(), rotation_seconds=3)
    port = free_port()
    settings = {"NEON_DB_URL": database.url(), "BETTER_AUTH_URL": auth.url}
    arguments = ("--bind", f"127.0.0.1:{port}", "--workers", "1")

    def ask(token: str) -> int:
        return call(port, "GET", "/api/tasks", Authorization=f"Bearer {token}").status

    def get_token_of_another_key(*known: str) -> str:
        kids = [jwt.get_unverified_header(token)["kid"] for token in known]
        deadline = time.monotonic() + 10
        while jwt.get_unverified_header(token := alice.get_token())["kid"] in kids:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return token

    def check_within_ten_seconds(token: str, status: int) -> None:
        """Wait until the token is accepted. Before the next fetch of the keys, it fails with 401 or 503."""
        deadline = time.monotonic() + 10
        while (answered := ask(token)) != status:
            assert answered in {401, 503}
            assert time.monotonic() < deadline
            time.sleep(0.1)

    with serve(port, *arguments, settings=settings):
        with auth.serve():
            alice = auth.sign_up("alice")
            first = alice.get_token()
            assert ask(first) == 200
            second = get_token_of_another_key(first)
            check_within_ten_seconds(second, 200)
            assert ask(first) == 200
        assert ask(second) == 200
        check_within_ten_seconds(SigningKey().sign(), 503)
        with auth.serve():
            third = get_token_of_another_key(first, second)
            check_within_ten_seconds(third, 200)
            assert ask(first) == 200

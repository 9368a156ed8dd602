"""A verified token is remembered and not verified again, but only until it expires and only for its user."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient

from config import Settings
from tests.support.databases import SECRET, closing_pool
from todo import create_app
from todo.auth import verifier
from todo.auth.tokens import read_claims


class Count:
    """Count the calls of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.calls = 0
        self._function = function

    def __call__(self, *values: Any) -> Any:
        self.calls += 1
        return self._function(*values)


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    """An application that remembers no token yet."""
    with closing_pool(create_app(settings)) as app:
        yield app.test_client()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Count:
    """Count how often a token is verified."""
    count = Count(read_claims)
    monkeypatch.setattr(verifier, "read_claims", count)
    return count


def sign(user_id: str, seconds: float = 60) -> str:
    return jwt.encode({"sub": user_id, "exp": time.time() + seconds}, SECRET, "HS256")


def ask(client: FlaskClient, token: str) -> int:
    return client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_is_verified_once(client: FlaskClient, verified: Count) -> None:
    token = sign("alice")
    for _ in range(5):
        assert ask(client, token) == 200
    assert verified.calls == 1


def test_a_remembered_token_belongs_to_its_user(client: FlaskClient) -> None:
    tokens = {user_id: sign(user_id) for user_id in ("one", "two")}
    for user_id in ("one", "two", "one", "two"):
        headers = {"Authorization": f"Bearer {tokens[user_id]}"}
        created: Any = client.post("/api/tasks", json={"title": "x"}, headers=headers).json
        assert created["user_id"] == user_id


def test_a_token_that_differs_in_one_character_is_another(client: FlaskClient) -> None:
    token = sign("alice")
    assert ask(client, token) == 200
    for place in range(0, len(token), 7):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert ask(client, other) == 401


def test_a_remembered_token_expires_at_exp(client: FlaskClient) -> None:
    token = sign("alice", seconds=0.5)
    assert ask(client, token) == 200
    time.sleep(0.5)
    assert ask(client, token) == 401


def test_a_token_is_verified_again_after_a_while(
    client: FlaskClient, verified: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verifier.REMEMBERED_SECONDS == 300
    monkeypatch.setattr(verifier, "REMEMBERED_SECONDS", 0.1)
    token = sign("alice")
    for _ in range(2):
        assert ask(client, token) == 200
        time.sleep(0.1)
    assert verified.calls == 2


def test_a_clock_set_back_does_not_remember_a_token_longer(
    client: FlaskClient, verified: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "REMEMBERED_SECONDS", 0.1)
    token = sign("alice")
    assert ask(client, token) == 200
    an_hour_ago = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)
    time.sleep(0.1)
    assert ask(client, token) == 200
    assert verified.calls == 2


def test_the_number_of_remembered_tokens_is_limited(
    client: FlaskClient, verified: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verifier.REMEMBERED_TOKENS == 4096
    monkeypatch.setattr(verifier, "REMEMBERED_TOKENS", 2)
    tokens = [sign(user_id) for user_id in ("one", "two", "three")]
    for token in (*tokens, tokens[2], tokens[1]):
        assert ask(client, token) == 200
    assert verified.calls == 3
    assert ask(client, tokens[0]) == 200
    assert verified.calls == 4


def test_a_refused_token_is_not_remembered(client: FlaskClient, verified: Count) -> None:
    token = sign("", seconds=60)
    for _ in range(3):
        assert ask(client, token) == 401
    assert verified.calls == 3

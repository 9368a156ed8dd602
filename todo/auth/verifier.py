"""Verifies tokens by the shared secret or by public keys, as the settings say, and caches the result."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from threading import Lock
from typing import NamedTuple

from jwt import PyJWK

from config import Settings
from todo.auth.jwks.cache import KeyCache
from todo.auth.jwks.endpoint import JWKS_ALGORITHMS
from todo.auth.tokens import Expected, InvalidToken, Key, read_claims, read_header
from todo.auth.users import find_user_id_problem

REMEMBERED_TOKENS = 4096
REMEMBERED_SECONDS = 300


@dataclass(frozen=True)
class Rules:
    """How tokens of an algorithm are verified: where their key comes from, and which claims they need."""

    find_key: Callable[[str, object], Key]  # takes algorithm and key ID; raises InvalidToken, KeysUnavailable
    expected: Expected


class Verified(NamedTuple):
    """The result of verifying a token, and until when and with which key it is valid."""

    user_id: str
    expires_at: float  # the token's exp, by the system's clock
    forget_at: float  # by the monotonic clock
    algorithm: str
    kid: object
    key: Key

    def is_over(self) -> bool:
        """Whether the token has expired, or was verified too long ago."""
        return self.expires_at <= time.time() or self.forget_at <= time.monotonic()


class TokenVerifier:
    """Finds the user of a token. The shared secret verifies only HS256, the JWKS only the other algorithms.

    Valid tokens are remembered, because verifying one takes up to half a millisecond. This is as safe as verifying: the
    token has the same bytes, its key is still the same object, and only time can make it invalid, which is checked. The
    memory is bounded in number and in time, and never exceeds ``exp``.
    """

    def __init__(self, settings: Settings, max_waiting: int) -> None:
        self._claim = settings.jwt_user_claim
        self._rules = make_rules(settings, max_waiting)
        self._remembered: dict[bytes, Verified] = {}
        self._lock = Lock()

    def verify(self, token: str) -> str:
        """Return the ID of the token's user; raises InvalidToken or KeysUnavailable."""
        digest = sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is None or known.is_over() or self._find_key(known.algorithm, known.kid) is not known.key:
            known = self._verify(token)
            self._remember(digest, known)
        return known.user_id

    def _remember(self, digest: bytes, verified: Verified) -> None:
        with self._lock:
            if len(self._remembered) >= REMEMBERED_TOKENS:
                del self._remembered[next(iter(self._remembered))]  # The oldest.
            self._remembered[digest] = verified

    def _verify(self, token: str) -> Verified:
        header = read_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._rules:
            raise InvalidToken(self._explain_algorithm(algorithm))
        key = self._find_key(algorithm, kid)
        claims = read_claims(token, algorithm, key, self._rules[algorithm].expected)
        user_id = claims.get(self._claim)
        if problem := find_user_id_problem(user_id):
            raise InvalidToken(f"The token's {self._claim} claim names no user: it {problem}.")
        return Verified(str(user_id), claims["exp"], time.monotonic() + REMEMBERED_SECONDS, algorithm, kid, key)

    def _find_key(self, algorithm: str, kid: object) -> Key:
        return self._rules[algorithm].find_key(algorithm, kid)

    def _explain_algorithm(self, algorithm: object) -> str:
        accepted = f"this service accepts {', '.join(self._rules)}"
        needed = "BETTER_AUTH_SECRET" if algorithm == "HS256" else "BETTER_AUTH_URL or JWKS_URL"
        if algorithm in ("HS256", *JWKS_ALGORITHMS):
            return f"The token is signed with {algorithm}, for which this service needs {needed}; {accepted}."
        return f"The token is signed with another algorithm, or not at all; {accepted}."


def make_rules(settings: Settings, max_waiting: int) -> dict[str, Rules]:
    """Return the rules for each algorithm that the settings accept."""
    rules = {}
    # Better Auth's email links contain tokens signed with the same secret: they have an email claim, but no sub.
    required = ("exp", "sub") if settings.jwt_user_claim == "email" else ("exp",)
    if settings.better_auth_secret is not None:
        # As UTF-8 text, neither decoded nor derived: Better Auth and similar libraries sign with it like this.
        secret = settings.better_auth_secret
        expected = Expected(settings.jwt_issuer, settings.jwt_audience, required)
        rules["HS256"] = Rules(lambda algorithm, kid: secret, expected)
    if settings.jwks_url is not None:
        origin = (settings.auth_origin,) if settings.auth_origin else ()
        expected = Expected(settings.jwt_issuer or origin, settings.jwt_audience or origin, required)
        find_key = partial(find_public_key, KeyCache(settings.jwks_url, max_waiting))
        rules |= dict.fromkeys(JWKS_ALGORITHMS, Rules(find_key, expected))
    return rules


def find_public_key(keys: KeyCache, algorithm: str, kid: object) -> PyJWK:
    """Return the public key with that id for that algorithm; raises InvalidToken or KeysUnavailable."""
    if not isinstance(kid, str):
        raise InvalidToken("The token does not name its key; Better Auth's tokens do, in the header's kid.")
    found = keys.find(kid)
    if not found:
        raise InvalidToken("The token's key is not in the JWKS: it is another server's, or the key was removed.")
    if algorithm not in found:
        raise InvalidToken("The token's key is one for another algorithm.")
    return found[algorithm]

"""Which tokens count: the settings say whose word is taken, and each token is judged by what signed it."""

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
class Family:
    """Tokens that are judged alike: where their key comes from, and what they must say."""

    find_key: Callable[[str, object], Key]  # by algorithm and key id; raises InvalidToken or KeysUnavailable
    expected: Expected


class Verified(NamedTuple):
    """A token that was found genuine: whose it is, and what must still be so for it to count."""

    user_id: str
    until: float  # Unix time, seconds
    algorithm: str
    kid: object
    key: Key


class TokenVerifier:
    """Says whose a token is. HS256 is judged by the shared secret, all else by the JWKS, and never across.

    Genuine tokens are remembered, since to verify one costs up to half a millisecond. That is as safe as
    verifying: the same bytes under the same settings, the key that would be found is still the very object that
    was used, and time can only end a token. It is bounded in number, in time, and by ``exp``.
    """

    def __init__(self, settings: Settings, max_waiting: int) -> None:
        self._claim = settings.jwt_user_claim
        self._families = make_families(settings, max_waiting)
        self._remembered: dict[bytes, Verified] = {}
        self._lock = Lock()

    def verify(self, token: str) -> str:
        """Return the id of the token's user; raises InvalidToken, or KeysUnavailable."""
        digest = sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is None or known.until <= time.time() or self._find_key(known.algorithm, known.kid) is not known.key:
            known = self._judge(token)
            self._remember(digest, known)
        return known.user_id

    def _remember(self, digest: bytes, verified: Verified) -> None:
        with self._lock:
            if len(self._remembered) >= REMEMBERED_TOKENS:
                del self._remembered[next(iter(self._remembered))]  # The first that came.
            self._remembered[digest] = verified

    def _judge(self, token: str) -> Verified:
        header = read_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._families:
            raise InvalidToken(self._explain_algorithm(algorithm))
        key = self._find_key(algorithm, kid)
        claims = read_claims(token, algorithm, key, self._families[algorithm].expected)
        user_id = claims.get(self._claim)
        if problem := find_user_id_problem(user_id):
            raise InvalidToken(f"The token's {self._claim} claim names no user: it {problem}.")
        return Verified(str(user_id), min(claims["exp"], time.time() + REMEMBERED_SECONDS), algorithm, kid, key)

    def _find_key(self, algorithm: str, kid: object) -> Key:
        return self._families[algorithm].find_key(algorithm, kid)

    def _explain_algorithm(self, algorithm: object) -> str:
        accepted = f"this service accepts {', '.join(self._families)}"
        needed = "BETTER_AUTH_SECRET" if algorithm == "HS256" else "BETTER_AUTH_URL or JWKS_URL"
        if algorithm in ("HS256", *JWKS_ALGORITHMS):
            return f"The token is signed with {algorithm}, for which this service needs {needed}; {accepted}."
        return f"The token is signed with another algorithm, or not at all; {accepted}."


def make_families(settings: Settings, max_waiting: int) -> dict[str, Family]:
    """Return who judges the tokens of each algorithm that the settings accept."""
    families = {}
    # A link in one of Better Auth's mails is signed like a token and has an email claim, but no sub.
    required = ("exp", "sub") if settings.jwt_user_claim == "email" else ("exp",)
    if settings.better_auth_secret is not None:
        # The raw UTF-8 text, never decoded or derived: what Better Auth and the libraries beside it sign with.
        secret = settings.better_auth_secret
        expected = Expected(settings.jwt_issuer, settings.jwt_audience, required)
        families["HS256"] = Family(lambda algorithm, kid: secret, expected)
    if settings.jwks_url is not None:
        expected = Expected(
            settings.jwt_issuer or settings.auth_origin, settings.jwt_audience or settings.auth_origin, required
        )
        find_key = partial(find_public_key, KeyCache(settings.jwks_url, max_waiting))
        families |= dict.fromkeys(JWKS_ALGORITHMS, Family(find_key, expected))
    return families


def find_public_key(keys: KeyCache, algorithm: str, kid: object) -> PyJWK:
    """Return the key of that id and that algorithm; raises InvalidToken, or KeysUnavailable."""
    if not isinstance(kid, str):
        raise InvalidToken("The token does not name its key; Better Auth's tokens do, in the header's kid.")
    found = keys.find(kid)
    if not found:
        raise InvalidToken("The token's key is not in the JWKS: it is another server's, or the key was removed.")
    if algorithm not in found:
        raise InvalidToken("The token's key is one for another algorithm.")
    return found[algorithm]

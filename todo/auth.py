"""Who is calling: a token in, a user id out.

The hook runs before every operation under /api and puts the user id on ``flask.g``. It does not know how
a token is verified: whatever has the one method of Verifier will do.
"""

import re
import time
import unicodedata
from typing import Any, Protocol

import jwt
from flask import Flask, current_app, g, request
from werkzeug.exceptions import Unauthorized

from config import Settings

# RFC 6750 section 2.1. WSGI servers join several headers with a comma, which this does not match.
BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)

# What PyJWT raises besides its own: for huge numbers, infinities, deeply nested headers.
MALFORMED_TOKEN_ERRORS = (ValueError, TypeError, ArithmeticError, RecursionError)

# Unicode's Bidi_Control characters steer the direction of text: with them, two ids can look the same.
BIDI_CONTROLS = {chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class Verifier(Protocol):
    """Decides whether a token is genuine, current, and for this service."""

    def verify(self, token: str) -> str:
        """Return the id of the token's user; raises InvalidToken, whose text may be shown to the caller."""
        ...


class InvalidToken(Exception):
    """The token does not prove who is calling; the text says why and never holds the token."""


class SharedSecretVerifier:
    """HS256 under the secret shared with Better Auth: the raw UTF-8 text, never decoded or derived."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.better_auth_secret.encode()
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._claim = settings.jwt_user_claim
        # PyJWT looks at `aud` even when none is expected; home-made tokens may carry any.
        self._options: Any = {"require": ["exp"], "verify_aud": self._audience is not None}

    def verify(self, token: str) -> str:
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=self._audience,
                issuer=self._issuer,
                options=self._options,
            )
        except jwt.PyJWTError as error:
            raise InvalidToken(self._explain(error)) from None
        except MALFORMED_TOKEN_ERRORS:
            raise InvalidToken("The token is malformed.") from None
        if type(claims["exp"]) not in {int, float}:  # PyJWT takes a string of digits too; RFC 7519 does not.
            raise InvalidToken("The token's exp claim must be a number.")
        return read_user_id(claims, self._claim)

    def _explain(self, error: jwt.PyJWTError) -> str:
        match error:
            case jwt.ExpiredSignatureError():
                return "The token has expired; get a new one."
            case jwt.MissingRequiredClaimError():
                return f"The token has no {error.claim} claim."
            case jwt.InvalidAudienceError():
                return f"The token is for another audience; this service expects {self._audience}."
            case jwt.InvalidIssuerError():
                return f"The token is from another issuer; this service expects {self._issuer}."
            case jwt.InvalidAlgorithmError():
                return "The token is signed with another algorithm; this service accepts HS256."
            case jwt.InvalidSignatureError():
                return "The token's signature is wrong; it was made with another secret."
            case jwt.ImmatureSignatureError():
                return "The token is not valid yet; compare the clocks."
            case jwt.DecodeError():
                return "The token is not a valid JWT."
            case _:
                return "A claim of the token has the wrong form."


def read_user_id(claims: dict[str, Any], claim: str) -> str:
    """Return the user a verified token speaks for; raises InvalidToken."""
    user_id = claims.get(claim)
    if problem := find_user_id_problem(user_id):
        raise InvalidToken(f"The token's {claim} claim names no user: it {problem}.")
    return str(user_id)


def find_user_id_problem(user_id: object) -> str | None:
    """Return what keeps a value from being a user's id, in words that follow "it"; None if nothing does."""
    if not isinstance(user_id, str) or not user_id.strip():
        return "must be a string that is not blank"
    if len(user_id) > 255:
        return "must have at most 255 characters"
    if not user_id.isprintable() and any(is_control(character) for character in user_id):
        return "must have no control characters"
    return None


def is_control(character: str) -> bool:
    """Say whether a character is a control character, a lone surrogate, or one that steers the direction of text."""
    return unicodedata.category(character) in {"Cc", "Cs"} or character in BIDI_CONTROLS


def issue_token(settings: Settings, user_id: str, lifetime_seconds: int) -> str:
    """Return a token, for trying and testing, that this service accepts as that user's."""
    now = int(time.time())
    claims = {"sub": user_id, settings.jwt_user_claim: user_id, "iat": now, "exp": now + lifetime_seconds}
    expected = {"iss": settings.jwt_issuer, "aud": settings.jwt_audience}
    claims |= {name: value for name, value in expected.items() if value is not None}
    return jwt.encode(claims, settings.better_auth_secret, algorithm="HS256")


def init_app(app: Flask, settings: Settings) -> None:
    """Choose the verifier once; the hook asks for it by name."""
    app.extensions["verifier"] = SharedSecretVerifier(settings)


def authenticate() -> None:
    """The before_request hook: puts the caller's id on ``g.user_id``, or raises Unauthenticated.

    A preflight carries no token (Fetch standard, section 4.8), so OPTIONS passes: it reads nothing.
    """
    if request.method == "OPTIONS":
        return
    header = request.headers.get("Authorization")
    if header is None:
        raise Unauthenticated("No token: send it as Authorization: Bearer <JWT>.")
    given = BEARER.fullmatch(header)
    if given is None:
        raise Unauthenticated("The Authorization header must be: Bearer <JWT>, once.", "invalid_request")
    verifier: Verifier = current_app.extensions["verifier"]
    try:
        g.user_id = verifier.verify(given[1])
    except InvalidToken as error:
        raise Unauthenticated(str(error), "invalid_token") from None


class Unauthenticated(Unauthorized):
    """401, with the challenge of RFC 6750 section 3: the scheme, and why a token that was sent is refused."""

    def __init__(self, detail: str, error: str | None = None) -> None:
        super().__init__(detail)
        self._challenge = f'Bearer error="{error}"' if error else 'Bearer realm="todo"'

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self._challenge)]

"""Checks a token's header, signature and claims, and issues tokens for trying the service."""

import time
from codecs import BOM_UTF8
from typing import Any, NamedTuple

import jwt
from jwt import PyJWK
from jwt.utils import base64url_decode

from config import SettingError, Settings

# How far the issuer's clock may be ahead: a token is used right after it is issued. It does not extend exp.
CLOCK_SKEW_SECONDS = 5

# Better Auth signs its session cache with the same keys; its typ header and this audience distinguish it.
SESSION_CACHE_AUDIENCE = "better-auth:session-cache"

# PyJWT raises these, besides its own errors, for huge numbers, infinities and deeply nested headers.
MALFORMED_TOKEN_ERRORS = (ValueError, TypeError, ArithmeticError, RecursionError)

EXPIRED = "The token has expired; get a new one."
ASK_BETTER_AUTH = "get a JWT from Better Auth's /api/auth/token and send that"

Key = str | PyJWK


class InvalidToken(Exception):
    """The token is refused; the message says why, for the client, and never contains the token."""

    code = "token_invalid"


class ExpiredToken(InvalidToken):
    code = "token_expired"


class Expected(NamedTuple):
    """The values that ``iss`` and ``aud`` may have, any if there are none, and the claims that a token must contain."""

    issuers: tuple[str, ...]
    audiences: tuple[str, ...]
    required: tuple[str, ...]


def read_header(token: str) -> dict[str, Any]:
    """Return the header of a token, unverified; raises InvalidToken if the token cannot be an access token."""
    if token.count(".") != 2:
        raise InvalidToken(f"This is not a JWT; if it is Better Auth's session token, {ASK_BETTER_AUTH}.")
    if "=" in token:  # PyJWT accepts padding.
        raise InvalidToken("The token contains =; a JWT is base64url without padding (RFC 7515).")
    try:
        header = jwt.get_unverified_header(token)
        texts = [base64url_decode(part) for part in token.split(".")[:2]]
    except (jwt.PyJWTError, *MALFORMED_TOKEN_ERRORS):
        raise InvalidToken("The token is not a valid JWT.") from None
    if any(text.startswith(BOM_UTF8) or b"\0" in text for text in texts):  # RFC 7519; PyJWT reads UTF-16 too.
        raise InvalidToken("The token is malformed.")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise InvalidToken(f"The token is for another purpose, such as the session cache; {ASK_BETTER_AUTH}.")
    return header


def read_claims(token: str, algorithm: str, key: Key, expected: Expected) -> dict[str, Any]:
    """Return the claims of a token; raises InvalidToken if its signature, times or other claims are not valid."""
    options: Any = {
        "require": expected.required,
        # By default, PyJWT refuses any `aud` when none is expected; HS256 tokens may have one.
        "verify_aud": bool(expected.audiences),
    }
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=expected.issuers or None,
            audience=expected.audiences or None,
            leeway=CLOCK_SKEW_SECONDS,
            options=options,
        )
    except jwt.ExpiredSignatureError:
        raise ExpiredToken(EXPIRED) from None
    except jwt.PyJWTError as error:
        raise InvalidToken(explain_refusal(error, expected)) from None
    except MALFORMED_TOKEN_ERRORS:
        raise InvalidToken("The token is malformed.") from None
    if type(claims["exp"]) not in {int, float}:  # PyJWT accepts a string of digits; RFC 7519 does not.
        raise InvalidToken("The token's exp claim must be a number.")
    if claims["exp"] <= time.time():
        raise ExpiredToken(EXPIRED)
    audience = claims.get("aud")
    if SESSION_CACHE_AUDIENCE in (audience if isinstance(audience, list) else [audience]):
        raise InvalidToken(f"The token is Better Auth's session cache; {ASK_BETTER_AUTH}.")
    return claims


def explain_refusal(error: jwt.PyJWTError, expected: Expected) -> str:
    """Return why a token is refused, for the developer of a frontend."""
    match error:
        case jwt.MissingRequiredClaimError():
            return f"The token has no {error.claim} claim."
        case jwt.InvalidAudienceError():
            return f"The token is for another audience; this service expects {' or '.join(expected.audiences)}."
        case jwt.InvalidIssuerError():
            return f"The token is from another issuer; this service expects {' or '.join(expected.issuers)}."
        case jwt.InvalidSignatureError():
            return "The token's signature is wrong; it was made with another key or secret."
        case jwt.ImmatureSignatureError():
            return "The token is not valid yet; compare the clocks."
        case jwt.exceptions.InvalidSubjectError():
            return "The token's sub claim must be a string."
        case jwt.DecodeError():
            return "The token is not a valid JWT."
        case _:
            return "A claim of the token has the wrong form."


def issue_token(settings: Settings, user_id: str, lifetime_seconds: int) -> str:
    """Return a token of that user that this service accepts, for tests and first steps.

    Raises SettingError without BETTER_AUTH_SECRET, which signs it.
    """
    if settings.better_auth_secret is None:
        raise SettingError("BETTER_AUTH_SECRET", "is not set, and tokens are made with it; get one from Better Auth")
    now = int(time.time())
    claims = {"sub": user_id, settings.jwt_user_claim: user_id, "iat": now, "exp": now + lifetime_seconds}
    expected = {"iss": settings.jwt_issuer, "aud": settings.jwt_audience}
    claims |= {name: values[0] for name, values in expected.items() if values}
    return jwt.encode(claims, settings.better_auth_secret, algorithm="HS256")

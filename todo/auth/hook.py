"""The before_request hook that authenticates a request, before anything else in it is read."""

import logging
import re
from typing import Any

from flask import Flask, current_app, g, request
from werkzeug.exceptions import ServiceUnavailable, Unauthorized

from config import Settings
from todo.auth.jwks.cache import KeysUnavailable
from todo.auth.tokens import InvalidToken
from todo.auth.verifier import TokenVerifier

log = logging.getLogger(__name__)

NO_HEADER = "No token: send it as Authorization: Bearer <JWT>."

# RFC 6750 section 2.1, and the % in Better Auth's session tokens, which get an error message of their own.
# WSGI servers join repeated headers with a comma, which does not match.
BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=%-]+)", re.IGNORECASE)


def init_app(app: Flask, settings: Settings) -> None:
    """Create the verifier of tokens from the settings."""
    # Two threads stay free for requests whose key is cached.
    app.extensions["verifier"] = TokenVerifier(settings, max_waiting=max(1, settings.threads - 2))


def authenticate() -> None:
    """Set ``g.user_id`` to the id of the token's user.

    Raises Unauthenticated without a valid token, and ServiceUnavailable while its key cannot be fetched. OPTIONS needs
    no token: a CORS preflight cannot have one (Fetch standard, section 4.8), and it reads no data.
    """
    if request.method == "OPTIONS":
        return
    header = request.headers.get("Authorization")
    if header is None:
        raise Unauthenticated(NO_HEADER, code="token_missing")
    given = BEARER.fullmatch(header)
    if given is None:
        raise Unauthenticated("The Authorization header must be: Bearer <JWT>, once.", "invalid_request")
    verifier: TokenVerifier = current_app.extensions["verifier"]
    try:
        g.user_id = verifier.verify(given[1])
    except InvalidToken as error:
        raise Unauthenticated(str(error), "invalid_token", error.code) from None
    except KeysUnavailable as error:
        log.warning("Keys that verify tokens are unavailable")
        raise ServiceUnavailable(str(error), retry_after=error.retry_after_seconds) from None


class Unauthenticated(Unauthorized):
    """401 with the WWW-Authenticate header of RFC 6750 section 3; ``error`` is its code if a token was sent.

    ``code`` is the code of the problem.
    """

    def __init__(self, detail: str, error: str | None = None, code: str = "token_invalid") -> None:
        super().__init__(detail)
        self.problem_code = code
        self._challenge = f'Bearer error="{error}"' if error else 'Bearer realm="todo"'

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self._challenge)]

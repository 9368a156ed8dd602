"""The before_request hook: who is calling is settled before anything else of a request is looked at."""

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

# RFC 6750 section 2.1, and the % of Better Auth's session tokens, for which there is an answer of their own.
# WSGI servers join several headers with a comma, which this does not match.
BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=%-]+)", re.IGNORECASE)


def init_app(app: Flask, settings: Settings) -> None:
    """Build the verifier once, from the settings; the hook does not know which tokens it takes."""
    # Two threads stay free for requests whose key is known.
    app.extensions["verifier"] = TokenVerifier(settings, max_waiting=max(1, settings.threads - 2))


def authenticate() -> None:
    """Put the caller's id on ``g.user_id``.

    Raises Unauthenticated without a valid token, ServiceUnavailable while its key cannot be had. A preflight carries no
    token (Fetch standard, section 4.8), so OPTIONS passes: it reads nothing.
    """
    if request.method == "OPTIONS":
        return
    header = request.headers.get("Authorization")
    if header is None:
        raise Unauthenticated(NO_HEADER)
    given = BEARER.fullmatch(header)
    if given is None:
        raise Unauthenticated("The Authorization header must be: Bearer <JWT>, once.", "invalid_request")
    verifier: TokenVerifier = current_app.extensions["verifier"]
    try:
        g.user_id = verifier.verify(given[1])
    except InvalidToken as error:
        raise Unauthenticated(str(error), "invalid_token") from None
    except KeysUnavailable as error:
        log.warning("The keys of a token cannot be had")
        raise ServiceUnavailable(str(error), retry_after=error.retry_after_seconds) from None


class Unauthenticated(Unauthorized):
    """401, with the challenge of RFC 6750 section 3: the scheme, and why a token that was sent is refused."""

    def __init__(self, detail: str, error: str | None = None) -> None:
        super().__init__(detail)
        self._challenge = f'Bearer error="{error}"' if error else 'Bearer realm="todo"'

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self._challenge)]

"""The headers of every response: the request ID, caching, security, and the origins that may read it (CORS)."""

import re
from collections.abc import Collection
from random import getrandbits

from flask import Flask, Response, request

from config import Settings

ID_KEY = "todo.request_id"
PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")
LABEL_PART = "[a-z0-9_-]{1,63}"  # what * stands for in CORS_ORIGINS

# The headers that a page may read, and how long a browser caches a preflight.
EXPOSED = "ETag, Link, Location, Retry-After, Allow, WWW-Authenticate, Idempotent-Replayed, X-Request-ID"
PREFLIGHT_SECONDS = 3600
# For all paths: a wrong method should get a 405 that the page can read, not a request that the browser blocks.
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

# A shared cache must not give a response to another user or another origin.
CACHING = (("Cache-Control", "private, no-cache"), ("Vary", "Authorization, Origin"))
# A browser must not run or frame a response that is opened as a page (OWASP REST Security Cheat Sheet).
INERT = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)


class Origins:
    """The origins whose pages may read responses, as CORS_ORIGINS lists them."""

    def __init__(self, origins: Collection[str]) -> None:
        self.is_open = "*" in origins
        self.named = frozenset(origins) - {"*"}
        self.pattern = re.compile("|".join(re.escape(origin).replace(r"\*", LABEL_PART) for origin in self.named))

    def grant(self, origin: str | None) -> dict[str, str]:
        """Return the headers that let a page of this origin read a response; none if it may not."""
        if origin and (origin in self.named or self.pattern.fullmatch(origin)):
            # For pages that send their cookies, which the service never reads.
            return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        return {"Access-Control-Allow-Origin": "*"} if origin and self.is_open else {}


def init_app(app: Flask, settings: Settings) -> None:
    """Add the headers to every response, errors and unknown paths included."""
    origins = app.extensions["origins"] = Origins(settings.cors_origins)

    def add_headers(response: Response) -> Response:
        headers = response.headers
        headers.extend(CACHING)
        if "Content-Security-Policy" not in headers:  # The documentation page has its own.
            headers.extend(INERT)
        headers["X-Request-ID"] = request_id()
        if granted := origins.grant(request.environ.get("HTTP_ORIGIN")):
            headers.update(granted)
            if request.method == "OPTIONS":
                allow_call(response)
            else:
                headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

    app.after_request(add_headers)


def allow_call(response: Response) -> None:
    """Allow a preflighted call (Fetch standard, section 4.8): the service reads no cookie, so any header is allowed.

    An unknown path is allowed too, and an unknown method such as "patch", which browsers send as it is written.
    Otherwise the page could not read its 404 or 405, and the browser would report CORS.
    """
    if response.status_code == 404:
        response.status_code, response.data = 200, b""
        del response.headers["Content-Type"]
    method = request.headers.get("Access-Control-Request-Method", "")
    methods = sorted({*METHODS, method}) if PLAIN.fullmatch(method) else METHODS
    response.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    if asked := request.headers.get("Access-Control-Request-Headers"):
        response.headers["Access-Control-Allow-Headers"] = asked


def request_id() -> str:
    """Return the ID of this request: the client's ``X-Request-ID`` if it is plain, else a new one."""
    # In the WSGI environment, where the server that writes the log finds it.
    environ = request.environ
    known: str | None = environ.get(ID_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID")
        # Unique, but no secret: the system's randomness would cost a system call.
        known = given if given and PLAIN.fullmatch(given) else f"{getrandbits(128):032x}"
        environ[ID_KEY] = known
    return known

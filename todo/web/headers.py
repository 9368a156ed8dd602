"""What every answer carries: its request's id, how it may be kept and shown, and which pages may read it (CORS)."""

import re
from random import getrandbits

from flask import Flask, Response, request

from config import Settings

ID_KEY = "todo.request_id"
PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# What a page may read of an answer besides its body, and for how long a browser keeps what a preflight said.
EXPOSED = "ETag, Link, Location, Retry-After, X-Request-ID"
PREFLIGHT_SECONDS = 3600
# For all paths: a wrong method should get a 405 that the page can read, not a call that the browser blocks.
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

# No shared cache may hand one user's answer to another, nor one origin's to another.
CACHING = (("Cache-Control", "private, no-cache"), ("Vary", "Authorization, Origin"))
# What a browser may make of an answer that somebody opens as a page: nothing (OWASP REST Security Cheat Sheet).
INERT = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)


def init_app(app: Flask, settings: Settings) -> None:
    """Give every answer its headers, those of errors and of unknown paths included."""
    origins = settings.cors_origins

    def add_headers(response: Response) -> Response:
        headers = response.headers
        headers.extend(CACHING)
        if "Content-Security-Policy" not in headers:  # The explorer's page has its own.
            headers.extend(INERT)
        headers["X-Request-ID"] = request_id()
        origin = request.environ.get("HTTP_ORIGIN")
        if origin is not None and (origin in origins or "*" in origins):
            headers["Access-Control-Allow-Origin"] = "*" if "*" in origins else origin
            if request.method == "OPTIONS":
                allow_call(response)
            else:
                headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

    app.after_request(add_headers)


def allow_call(response: Response) -> None:
    """Answer a preflight (Fetch standard, section 4.8): no cookie is ever read, so a page may send what it likes.

    For an unknown path too: else the page gets no 404 that it could read, and its developer looks for a mistake here.
    """
    if response.status_code == 404:
        response.status_code, response.data = 200, b""
        del response.headers["Content-Type"]
    response.headers["Access-Control-Allow-Methods"] = ", ".join(METHODS)
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    if asked := request.headers.get("Access-Control-Request-Headers"):
        response.headers["Access-Control-Allow-Headers"] = asked


def request_id() -> str:
    """Return this request's id: the caller's ``X-Request-ID`` if it is a plain one, else a new one."""
    # There, and not on g: the server that writes the request's line has it too.
    environ = request.environ
    known: str | None = environ.get(ID_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID")
        # Told apart, not kept secret: the system's randomness would be a call to the kernel.
        known = given if given and PLAIN_ID.fullmatch(given) else f"{getrandbits(128):032x}"
        environ[ID_KEY] = known
    return known

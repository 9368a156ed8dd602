"""Responses to requests that gunicorn refuses before they reach the application, and their log lines."""

from secrets import token_hex

import orjson
from gunicorn.http import errors  # type: ignore[import-untyped]

from todo.web.headers import CACHING, EXPOSED, INERT
from todo.web.problems import DETAILS, make_problem
from todo.web.requests import OTHER_METHOD, Request

# Statuses and details for gunicorn's parse errors, whose own messages quote the request. All others are NOT_HTTP.
RESPONSES = {
    errors.LimitRequestLine: (414, "The request's first line is too long."),
    errors.LimitRequestHeaders: (431, "A header is too long, or there are too many."),
    errors.ExpectationFailed: (417, "The Expect header is not supported, except 100-continue."),
    errors.UnsupportedTransferCoding: (501, "The Transfer-Encoding is not supported, except chunked."),
}
NOT_HTTP = (400, "The request is not valid HTTP.")
# Parse errors that the server causes: the application set a header that cannot be sent.
SERVER_ERRORS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)


def make_refusal(error: Exception) -> tuple[Request, bytes]:
    """Return the facts to log about a request that failed in the server, and its response, a problem (RFC 9457)."""
    refused = isinstance(error, errors.ParseException) and not isinstance(error, SERVER_ERRORS)
    status, detail = RESPONSES.get(type(error), NOT_HTTP) if refused else (500, DETAILS[500])
    request_id = token_hex(16)
    problem = make_problem(status, detail, request_id=request_id)
    body = orjson.dumps(problem)
    headers = (
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        # The request's origin is unknown. Any may read this response, which contains no data.
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", EXPOSED),
        *CACHING,
        *INERT,
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    response = f"HTTP/1.1 {status} {problem['title']}\r\n{head}\r\n".encode() + body
    request = Request(
        request_id=request_id,
        user_id=None,
        method=OTHER_METHOD,
        route=None,
        status=status,
        milliseconds=0.0,
        size=len(body),
        refusal=type(error).__name__,
    )
    return request, response

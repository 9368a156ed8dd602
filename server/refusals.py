"""Requests that the server refuses before the application sees them: how they are answered, and written."""

from secrets import token_hex

import orjson
from gunicorn.http import errors  # type: ignore[import-untyped]

from todo.logs.requests import OTHER_METHOD, Request
from todo.web.headers import CACHING, EXPOSED, INERT
from todo.web.problems import DETAILS, make_problem

# How gunicorn's exceptions are answered; every other of their kind is NOT_HTTP. Their own messages quote what came.
ANSWERS = {
    errors.LimitRequestLine: (414, "The request's first line is too long."),
    errors.LimitRequestHeaders: (431, "A header is too long, or there are too many."),
    errors.ExpectationFailed: (417, "What the Expect header asks for is not offered."),
    errors.UnsupportedTransferCoding: (501, "The Transfer-Encoding is not known; chunked is."),
}
NOT_HTTP = (400, "The request is not HTTP as it must be.")
# Of the same kind, but not the client's fault: the application set a header that cannot be sent.
FAULTS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)


def refuse(error: Exception) -> tuple[Request, bytes]:
    """Return what is written of a request that failed in the server, and the whole answer: a problem (RFC 9457)."""
    refused = isinstance(error, errors.ParseException) and not isinstance(error, FAULTS)
    status, detail = ANSWERS.get(type(error), NOT_HTTP) if refused else (500, DETAILS[500])
    request_id = token_hex(16)
    problem = make_problem(status, detail, request_id=request_id)
    body = orjson.dumps(problem)
    headers = (
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        # Whose page it is for is not known; any may read it, since it says nothing of anybody.
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", EXPOSED),
        *CACHING,
        *INERT,
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    answer = f"HTTP/1.1 {status} {problem['title']}\r\n{head}\r\n".encode() + body
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
    return request, answer

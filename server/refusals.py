"""Responses to requests that gunicorn refuses before they reach the application, and their log lines."""

import re
from secrets import token_hex

import orjson
from gunicorn.http import errors  # type: ignore[import-untyped]

from todo.web.headers import CACHING, EXPOSED, INERT, Origins
from todo.web.problems import DETAILS, make_problem
from todo.web.requests import OTHER_METHOD, Request

FIRST_LINE = (
    "The first line must be a method, a path and HTTP/1.1. In the path and the query, percent-encode spaces as %20 and "
    "other characters as UTF-8 (%C3%A9)."
)
CHUNKS = "The chunks of the body are not valid. Send the body as it is, with Content-Length."
HEADER = (
    "A header is not valid. Send each as one line, Name: value, without control characters. Send Host and Content-Type "
    "once, and either Content-Length, a number, or Transfer-Encoding: chunked."
)
TOO_LARGE = "All headers together exceed 128 KiB, or there are more than 100. Send less: this service needs no cookies."
# Statuses and details for gunicorn's parse errors, whose own messages quote the request. The details say what to send
# instead. All others are NOT_HTTP.
RESPONSES = {
    errors.InvalidRequestLine: (400, FIRST_LINE),
    errors.InvalidHTTPVersion: (400, FIRST_LINE),  # Also if there is a space in the query.
    errors.InvalidRequestMethod: (400, "The method must be a word in capitals, such as GET, POST or PATCH."),
    errors.InvalidHeader: (400, HEADER),
    errors.InvalidHeaderName: (400, "A header's name is not valid. Use letters, digits and hyphens, then a colon."),
    errors.ObsoleteFolding: (400, "A header has several lines. Send each header as one line."),
    errors.InvalidChunkSize: (400, CHUNKS),
    errors.InvalidChunkExtension: (400, CHUNKS),
    errors.ChunkMissingTerminator: (400, CHUNKS),
    errors.LimitRequestLine: (414, "The first line is longer than 64 KiB. Shorten the path or the query."),
    errors.LimitRequestHeaders: (431, TOO_LARGE),
    errors.ExpectationFailed: (417, "The Expect header can only be 100-continue. Leave it out."),
    errors.UnsupportedTransferCoding: (501, "The Transfer-Encoding can only be chunked. Send the body as it is."),
}
NOT_HTTP = (400, "The request is not valid HTTP. Send HTTP/1.1.")
# Parse errors that the server causes: the application set a header that cannot be sent.
SERVER_ERRORS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)


ORIGIN = re.compile(rb"\r\norigin:[ \t]*([!-~]+)[ \t]*\r\n", re.IGNORECASE)


def make_refusal(error: Exception, origins: Origins | None = None) -> tuple[Request, bytes]:
    """Return the facts to log about a request that failed in the server, and its response, a problem (RFC 9457).

    A page of any origin may read the response, which contains no data. If the page sends its cookies, the response must
    name the origin. The ``head`` of the error contains it, if gunicorn has read that header.
    """
    refused = isinstance(error, errors.ParseException) and not isinstance(error, SERVER_ERRORS)
    status, detail = RESPONSES.get(type(error), NOT_HTTP) if refused else (500, DETAILS[500])
    found = ORIGIN.search(getattr(error, "head", b""))
    origin = found[1].decode() if found else None
    request_id = token_hex(16)
    problem = make_problem(status, detail, request_id=request_id)
    body = orjson.dumps(problem)
    headers = (
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        *((origins and origins.grant(origin)) or {"Access-Control-Allow-Origin": "*"}).items(),
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

"""Requests that the server refuses before the application sees them: how they are answered, and written."""

from http import HTTPStatus
from secrets import token_hex

import orjson
from gunicorn.http import errors  # type: ignore[import-untyped]

from todo.headers import CACHING, INERT
from todo.logs.requests import OTHER_METHOD, Request

# gunicorn's exceptions; every other of their kind is a 400. Their messages quote what came, tokens included.
STATUSES = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
# What the application's headers cannot be: its own fault.
FAULTS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)
DETAILS = {
    HTTPStatus.BAD_REQUEST: "The request is not HTTP as it must be.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The request's first line is too long.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "A header is too long, or there are too many.",
    HTTPStatus.EXPECTATION_FAILED: "What the Expect header asks for is not offered.",
    HTTPStatus.NOT_IMPLEMENTED: "The Transfer-Encoding is not known; chunked is.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal error; the log has its cause under this request id.",
}


def refuse(error: Exception) -> tuple[Request, bytes]:
    """Return what is written of a request that failed in the server, and the whole answer: a problem (RFC 9457)."""
    refused = isinstance(error, errors.ParseException) and not isinstance(error, FAULTS)
    status = STATUSES.get(type(error), HTTPStatus.BAD_REQUEST) if refused else HTTPStatus.INTERNAL_SERVER_ERROR
    request_id = token_hex(16)
    body = orjson.dumps(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status,
            "detail": DETAILS[status],
            "request_id": request_id,
        }
    )
    headers = (
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        *CACHING,
        *INERT,
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    answer = f"HTTP/1.1 {status} {status.phrase}\r\n{head}\r\n".encode() + body
    return Request(request_id, None, OTHER_METHOD, None, status, 0.0, len(body), type(error).__name__), answer

"""Every error response is a problem (RFC 9457). A hook or a view raises an HTTPException, a query a DomainError.

Its ``code`` is the ``problem_code`` or ``code`` of the error, or the one of its status. docs/errors.md lists them all.

400  the body is no JSON object, or a header or the cursor is invalid
401  no valid token; has WWW-Authenticate (RFC 6750)
403  the user has as many tasks as one user may have
404  it does not exist, or it belongs to another user
405  has Allow
409  the task of this Idempotency-Key was deleted, or the UID of a new task is taken
410  the cursor of changes has expired, or the task of this UID is in the trash
412  If-Match names another version, or If-None-Match names this one
413  the body is too large
415  the body is not declared as JSON
416  a file of /api/docs does not have the bytes of Range
422  fields or parameters are invalid; ``errors`` names each
429  too many requests; has Retry-After
500  an unexpected error, without internal details
503  the database or the keys of tokens are unavailable; has Retry-After
"""

import logging
from itertools import islice
from typing import Any

import orjson
from flask import Flask, Response, request
from marshmallow import ValidationError
from psycopg2.errors import (
    InvalidParameterValue,
    InvalidSchemaName,
    ReadOnlySqlTransaction,
    UndefinedColumn,
    UndefinedTable,
    UniqueViolation,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    ServiceUnavailable,
    UnprocessableEntity,
    default_exceptions,
)
from werkzeug.http import HTTP_STATUS_CODES

from todo.errors import (
    Changed,
    CursorExpired,
    DomainError,
    Excluded,
    FieldError,
    Full,
    InvalidCursor,
    KeyUnusable,
    NotFound,
    Trashed,
    UidTaken,
)
from todo.logs.causes import describe
from todo.web.headers import request_id
from todo.web.nesting import flatten
from todo.web.parameters import MAX_ERRORS
from todo.web.requests import name_route
from todo.web.responses import CompleteResponse

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
MAX_NAME = 100  # characters

# PostgreSQL's errors for a missing schema, table, column or role.
NOT_MIGRATED = (InvalidSchemaName, UndefinedTable, UndefinedColumn, InvalidParameterValue)

# For errors without a sentence of their own. A 404 always has this one.
DETAILS = {
    400: "The request cannot be understood; check its Host header.",
    404: NotFound.sentence,
    405: "This method is not allowed here; the Allow header lists those that are.",
    500: "Internal error; the log has its cause under this request id.",
    503: "The service is not available right now; try again in a few seconds.",
}

# For errors without a code of their own; other statuses have their name as code.
CODES = {
    400: "malformed_request",
    413: "body_too_large",
    414: "request_line_too_long",
    422: "invalid_fields",
    429: "rate_limited",
    431: "header_too_large",
    500: "internal_error",
    503: "unavailable",
}

STATUSES: dict[type[DomainError], int] = {
    NotFound: 404,
    InvalidCursor: 400,
    Full: 403,
    KeyUnusable: 409,
    UidTaken: 409,
    CursorExpired: 410,
    Trashed: 410,
    Changed: 412,
    Excluded: 412,
}


def init_app(app: Flask) -> None:
    """Turn every error of the application into a problem."""
    app.register_error_handler(HTTPException, to_problem)
    app.register_error_handler(DomainError, handle_refusal)
    app.register_error_handler(ValidationError, handle_invalid)
    app.register_error_handler(OperationalError, handle_unavailable)
    app.register_error_handler(InterfaceError, handle_unavailable)
    app.register_error_handler(PoolTimeoutError, handle_unavailable)
    app.register_error_handler(DBAPIError, handle_database_error)
    app.register_error_handler(Exception, handle_unforeseen)


def make_problem(status: int, detail: str, code: str = "", **extensions: Any) -> dict[str, Any]:
    """Return the fields of a problem (RFC 9457); ``extensions`` are further extension members."""
    title = HTTP_STATUS_CODES[status]
    code = code or CODES.get(status) or title.lower().replace(" ", "_")
    return {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail, **extensions}


def to_problem(error: HTTPException, code: str = "", **extensions: Any) -> Response:
    """Turn an exception into its problem; ``extensions`` are further extension members."""
    status = error.code or 500
    detail = error.description or ""
    if detail == default_exceptions.get(status, HTTPException).description:
        detail = DETAILS.get(status, detail)
    if status >= 500:
        extensions["request_id"] = request_id()
    problem = make_problem(status, detail, code or getattr(error, "problem_code", ""), **extensions)
    response = CompleteResponse(orjson.dumps(problem), status, content_type="application/problem+json")
    for name, value in error.get_headers(request.environ):
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def handle_refusal(error: DomainError) -> Response:
    """Turn a refusal of the domain into the problem of its status."""
    if isinstance(error, FieldError):
        return handle_invalid(ValidationError({error.field: [str(error)]}), error.code)
    return to_problem(default_exceptions[STATUSES[type(error)]](str(error)), error.code, **error.members)


def handle_invalid(error: ValidationError, code: str = "") -> Response:
    """422: ``errors`` has the messages of each field, by its path; ``detail`` repeats the first."""
    errors = {write_name(name): messages for name, messages in islice(flatten(error.messages_dict), MAX_ERRORS)}
    field, messages = next(iter(errors.items()))
    code = code or getattr(error, "problem_code", "")
    return to_problem(UnprocessableEntity(f"{field}: {messages[0]}"), code, errors=errors)


def write_name(name: str) -> str:
    """Return a client's name for a field as a response can have it: JSON in UTF-8 has no lone surrogates."""
    return name[:MAX_NAME].encode(errors="backslashreplace").decode()


def handle_unavailable(error: SQLAlchemyError) -> Response:
    """503: the database is down, overloaded or too slow."""
    log.warning("The database is unavailable: %s", describe(error))
    return to_problem(ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS))


def handle_database_error(error: DBAPIError) -> Response:
    """503 if the database is a replica, lacks a migration, or gives out IDs again; else 500."""
    if isinstance(error.orig, ReadOnlySqlTransaction):
        return handle_unavailable(error)
    if isinstance(error.orig, NOT_MIGRATED):
        log.error("Is the database migrated? GET /readyz looks, and logs what is missing.")
        return handle_unavailable(error)
    if isinstance(error.orig, UniqueViolation):
        log.error(
            "The next ID is taken, so the sequence of IDs is behind. Run flask after-restore (docs/operating.md)."
        )
        return handle_unavailable(error)
    return handle_unforeseen(error)


def handle_unforeseen(error: Exception) -> Response:
    """500: the log has the cause, under the request ID of the response."""
    log_failure((type(error), error, error.__traceback__))
    return to_problem(InternalServerError())


def log_failure(found: Any) -> None:
    """Log a failed request by its route, not its path, because a path can contain a user ID."""
    route = name_route(request.url_rule.rule) if request.url_rule else "an unknown path"
    log.error("%s %s failed", request.method, route, exc_info=found)

"""Every error, in one shape: ``application/problem+json`` (RFC 9457).

The exceptions are Werkzeug's; a view or a hook raises one, with a sentence for whoever reads it:

    HTTPException
    ├── BadRequest             400  the body is not a JSON object
    ├── Unauthorized           401  no valid token; carries WWW-Authenticate (RFC 6750)
    ├── NotFound               404  it does not exist, or it is another user's: the same bytes
    ├── MethodNotAllowed       405  carries Allow
    ├── RequestEntityTooLarge  413  the body is larger than it may be
    ├── UnsupportedMediaType   415  the body is not declared as JSON
    ├── UnprocessableEntity    422  from marshmallow's ValidationError; names each field
    ├── InternalServerError    500  from anything unforeseen; says nothing internal
    └── ServiceUnavailable     503  the database is away or overloaded; carries Retry-After
"""

import logging
import re
import traceback
from typing import Any
from uuid import uuid4

import orjson
from flask import Flask, Response, g, request
from marshmallow import Schema, ValidationError, fields
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable, UnprocessableEntity

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5

# What is said when nobody said more. 404 says the same everywhere: whether a task is missing,
# another's or impossible cannot be told apart.
DETAILS = {
    400: "The request cannot be understood.",
    404: "Not found: it does not exist, or it is not yours.",
    405: "This method is not allowed here; the Allow header lists those that are.",
    500: "Something went wrong here; the request id leads to the cause in the log.",
    503: "The service is not available right now; try again in a few seconds.",
}


class ProblemShape(Schema):
    """An error, as RFC 9457 has it; ``errors`` comes with 422, ``request_id`` with 500 and 503."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
    request_id = fields.String()


def init_app(app: Flask) -> None:
    """Answer every error of the application as a problem; give every answer its request id and cache rules."""
    app.register_error_handler(HTTPException, answer)
    app.register_error_handler(ValidationError, answer_invalid)
    app.register_error_handler(OperationalError, answer_unavailable)
    app.register_error_handler(InterfaceError, answer_unavailable)
    app.register_error_handler(PoolTimeoutError, answer_unavailable)
    app.register_error_handler(Exception, answer_unforeseen)
    app.after_request(add_common_headers)


def answer(error: HTTPException, **members: Any) -> Response:
    """Turn an exception into its problem; ``members`` are RFC 9457 extension members."""
    status = error.code or 500
    described = error.description if type(error).description != error.description else None
    problem = {
        "type": "about:blank",
        "title": error.name,
        "status": status,
        "detail": described or DETAILS.get(status) or error.description,
        **members,
    }
    if status >= 500:
        problem["request_id"] = request_id()
    response = Response(orjson.dumps(problem), status, content_type="application/problem+json")
    for name, value in error.get_headers(request.environ):
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def answer_invalid(error: ValidationError) -> Response:
    """422: ``errors`` names each field with its messages, ``detail`` repeats the first for a person."""
    errors = error.normalized_messages()  # type: ignore[no-untyped-call]
    field, messages = next(iter(errors.items()))
    return answer(UnprocessableEntity(f"{field}: {messages[0]}"), errors=errors)


def answer_unavailable(error: SQLAlchemyError) -> Response:
    """503: the database is away, overloaded or too slow."""
    log.warning("request %s: database unavailable: %s", request_id(), describe(error))
    return answer(ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS))


def answer_unforeseen(error: Exception) -> Response:
    """500: the cause goes to the log, with the request id that the answer carries."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s: %s %s failed\n%s%s", request_id(), request.method, request.path, frames, describe(error))
    return answer(InternalServerError())


def describe(error: Exception) -> str:
    """An error in one line, without what users wrote: PostgreSQL's messages on bad data quote the row."""
    if not isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {error}"
    cause = error.orig
    code = getattr(cause, "pgcode", None)
    if code is None:  # The client's own word, such as a refused connection: no row has been near it.
        return f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    message = "(not logged: it may quote a row)" if code[:2] in {"22", "23"} else cause.diag.message_primary  # type: ignore[union-attr]
    return f"{type(cause).__name__} {code}: {message}"


def request_id() -> str:
    """This request's id: the caller's ``X-Request-ID`` if it is a plain one, else a new one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else uuid4().hex
    return str(g.request_id)


def add_common_headers(response: Response) -> Response:
    """Private, revalidated, told apart by token: no shared cache may hand one user's answer to another."""
    response.headers["X-Request-ID"] = request_id()
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Authorization")
    return response

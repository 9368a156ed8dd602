"""The errors in the OpenAPI document, with an example for each cause. Tests compare them with real responses."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from apispec import APISpec
from marshmallow import Schema, fields
from werkzeug.http import HTTP_STATUS_CODES

from todo.auth.hook import NO_HEADER
from todo.auth.tokens import EXPIRED, ExpiredToken, InvalidToken
from todo.errors import (
    Changed,
    CursorExpired,
    DomainError,
    FieldError,
    Full,
    InvalidCursor,
    KeyReused,
    KeyUnusable,
    NotFound,
    TooSlow,
    Trashed,
    UidTaken,
)
from todo.slots import CROWDED, Crowded
from todo.web.bodies import NO_OBJECT, TOO_LARGE, MalformedBody, accepted_media_types
from todo.web.conditions import INVALID_KEY, InvalidHeader
from todo.web.endpoints import Declaration
from todo.web.nesting import flatten
from todo.web.parameters import InvalidParameters
from todo.web.problems import DETAILS, STATUSES, make_problem


class ProblemSchema(Schema):
    """An error (RFC 9457). ``errors`` is part of 422; ``request_id`` of 5xx, and of requests that gunicorn refuses."""

    about: ClassVar[dict[str, str]] = {
        "type": "about:blank: the status is the kind of the problem.",
        "title": "The name of the status.",
        "status": "The HTTP status.",
        "code": "The name of the cause, for programs. It stays the same; later versions may add codes.",
        "detail": "The cause, in a sentence for a person.",
        "errors": "The messages for each invalid field or parameter, by its name.",
        "operation": "The position of the refused operation of a batch, from 0.",
        "request_id": "The log has the cause under this ID.",
    }

    example: ClassVar[dict[str, Any]] = {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "code": "invalid_fields",
        "detail": "completed: Must be true or false, not a string.",
        "errors": {"completed": ["Must be true or false, not a string."]},
        "request_id": "5f0c6b3e",
    }

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)
    operation = fields.Integer()
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
    request_id = fields.String()


class Text(NamedTuple):
    """What an error says: a sentence, or messages by field; and its code, if its status has several."""

    said: str | dict[str, list[str]]
    code: str = ""
    members: Mapping[str, Any] = MappingProxyType({})


def quote(error: type[DomainError], **members: Any) -> Text:
    """Return what a refusal of the domain says, with further members of the problem."""
    said = {error.field: [error.sentence]} if issubclass(error, FieldError) else error.sentence
    return Text(said, error.code, members)


# An operation of a batch is refused.
OPERATION = "operation"
# The errors by their cause, a part of the request. The schemas of queries and bodies add theirs.
ERRORS: dict[str, dict[int, Text]] = {
    "missing token": {401: Text(NO_HEADER, "token_missing")},
    "expired token": {401: Text(EXPIRED, ExpiredToken.code)},
    "invalid token": {
        401: Text("The token's signature is wrong; it was made with another key or secret.", InvalidToken.code)
    },
    "rate limit": {429: Text("More than 600 per 1 minute; try again in 21 seconds.")},
    "concurrent requests": {429: Text(CROWDED, Crowded.problem_code)},
    "path": {404: quote(NotFound)},
    "query": {400: quote(InvalidCursor)},
    "unknown parameter": {422: Text({"x": ["Unknown parameter; allowed: none."]}, InvalidParameters.problem_code)},
    "time of the search": {422: quote(TooSlow)},
    "body": {
        400: Text(NO_OBJECT, MalformedBody.problem_code),
        413: Text(TOO_LARGE),
        415: Text("Send the body as Content-Type: {accepted}."),
    },
    "Idempotency-Key": {
        400: Text(INVALID_KEY, InvalidHeader.problem_code),
        422: quote(KeyReused),
    },
    "If-Match": {412: quote(Changed)},
    OPERATION: {STATUSES[error]: quote(error, operation=0) for error in (NotFound, UidTaken, Changed)},
    **{error.code: {STATUSES[error]: quote(error)} for error in (Full, KeyUnusable, CursorExpired, Trashed)},
    "service": {500: Text(DETAILS[500]), 503: Text(DETAILS[503])},
}
# Of every operation.
CALLER = ("missing token", "expired token", "invalid token", "rate limit", "concurrent requests")
# These differ between operations. The document has the others once, as components.
VARYING = {400, 410, 413, 415, 422}
HEADERS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}


def add_errors(spec: APISpec) -> None:
    """Add the errors that are the same for all operations."""
    common: dict[int, dict[str, Text]] = defaultdict(dict)
    for cause, errors in ERRORS.items():
        for status, text in errors.items():
            if cause != OPERATION:
                common[status][cause] = text
    for status, texts in common.items():
        if status not in VARYING:
            spec.components.response(_name(status), _describe(status, texts))


def list_errors(declaration: Declaration, method: str, *, has_path: bool) -> Iterator[tuple[str, Any]]:
    """Yield the errors of an operation by status, the common ones by reference."""
    shapes = {"query": declaration.query, "body": declaration.body}
    causes = [*CALLER, *(["path"] if has_path else []), *(error.code for error in declaration.refuses)]
    causes += [part for part, shape in shapes.items() if shape] or ["unknown parameter"]
    causes += ["time of the search"] if declaration.query and TooSlow.field in declaration.query.fields else []
    causes += [OPERATION] if declaration.body and "operations" in declaration.body.fields else []
    answers: dict[int, dict[str, Text]] = defaultdict(dict)
    for cause in (*causes, *declaration.reads, "service"):
        for status, text in ERRORS.get(cause, {}).items():
            answers[status][cause] = text
        if shape := shapes.get(cause):
            answers[422][cause] = Text(_provoke(shape), InvalidParameters.problem_code if cause == "query" else "")
    values = {"accepted": " or ".join(accepted_media_types(method)), "limit": declaration.max_bytes}
    for status, texts in sorted(answers.items()):
        varies = status in VARYING or OPERATION in texts
        yield str(status), _describe(status, texts, **values) if varies else _name(status)


def refer(headers: list[str]) -> dict[str, Any]:
    """Return references to these headers, and to X-Request-ID, which every response has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *headers]}


def _provoke(shape: Schema) -> dict[str, list[str]]:
    """Return the errors of a schema's invalid example."""
    return dict(flatten(shape.validate(getattr(shape, "refused", {}))))


def _name(status: int) -> str:
    return HTTP_STATUS_CODES[status].replace(" ", "")


def _describe(status: int, texts: dict[str, Text], **values: Any) -> dict[str, Any]:
    """Return an error response, with an example for each cause."""
    examples = {cause: {"value": _write_problem(status, text, values)} for cause, text in texts.items()}
    content = {"application/problem+json": {"schema": ProblemSchema, "examples": examples}}
    return {"description": HTTP_STATUS_CODES[status], "headers": refer(HEADERS.get(status, [])), "content": content}


def _write_problem(status: int, text: Text, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of an error (web/problems.py)."""
    if isinstance(text.said, dict):
        member, messages = next(iter(text.said.items()))
        return make_problem(status, f"{member}: {messages[0]}", text.code, errors=text.said)
    request_id = {"request_id": "5f0c6b3e"} if status >= 500 else {}
    return make_problem(status, text.said.format(**values), text.code, **request_id, **text.members)

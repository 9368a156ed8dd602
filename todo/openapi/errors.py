"""The errors in the OpenAPI document, with an example for each cause. Tests compare them with real responses."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from apispec import APISpec
from marshmallow import Schema
from werkzeug.http import HTTP_STATUS_CODES

from todo.auth.hook import NO_HEADER
from todo.errors import Changed, Full, InvalidCursor, KeyReused, KeyUnusable, NotFound
from todo.web.bodies import NO_OBJECT, TOO_LARGE, accepted_media_types
from todo.web.conditions import INVALID_KEY
from todo.web.endpoints import Declaration
from todo.web.problems import DETAILS, ProblemSchema, make_problem

Text = str | dict[str, list[str]]  # A sentence, or messages by field.

# The errors by their cause, a part of the request. The schemas of queries and bodies add theirs.
ERRORS: dict[str, dict[int, Text]] = {
    "caller": {
        401: NO_HEADER,
        429: "More than 600 per 1 minute; try again in 21 seconds.",
    },
    "path": {404: NotFound.sentence},
    "number of tasks": {403: Full.sentence},
    "query": {400: InvalidCursor.sentence},
    "body": {
        400: NO_OBJECT,
        413: TOO_LARGE,
        415: "Send the body as Content-Type: {accepted}.",
    },
    "Idempotency-Key": {
        400: INVALID_KEY,
        409: KeyUnusable.sentence,
        422: {KeyReused.field: [KeyReused.sentence]},
    },
    "If-Match": {412: Changed.sentence},
    "service": {500: DETAILS[500], 503: DETAILS[503]},
}
# These differ between operations. The document has the others once, as components.
VARYING = {400, 415, 422}
HEADERS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}


def add_errors(spec: APISpec) -> None:
    """Add the errors that are the same for all operations."""
    for cause, errors in ERRORS.items():
        for status, text in errors.items():
            if status not in VARYING:
                spec.components.response(_name(status), _describe(status, {cause: text}))


def list_errors(declaration: Declaration, method: str, *, has_path: bool, creates: bool) -> Iterator[tuple[str, Any]]:
    """Yield the errors of an operation by status, the common ones by reference."""
    shapes = {"query": declaration.query, "body": declaration.body}
    causes = ["caller", *(["path"] if has_path else []), *(["number of tasks"] if creates else [])]
    causes += [part for part, shape in shapes.items() if shape]
    answers: dict[int, dict[str, Text]] = defaultdict(dict)
    for cause in (*causes, *declaration.reads, "service"):
        for status, text in ERRORS.get(cause, {}).items():
            answers[status][cause] = text
        if shape := shapes.get(cause):
            answers[422][cause] = _provoke(shape)
    for status, texts in sorted(answers.items()):
        yield str(status), _describe(status, texts, method) if status in VARYING else _name(status)


def refer(headers: list[str]) -> dict[str, Any]:
    """Return references to these headers, and to X-Request-ID, which every response has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *headers]}


def _provoke(shape: Schema) -> dict[str, list[str]]:
    """Return the errors of a schema's invalid example."""
    return shape.validate(getattr(shape, "refused", {}))


def _name(status: int) -> str:
    return HTTP_STATUS_CODES[status].replace(" ", "")


def _describe(status: int, texts: dict[str, Text], method: str = "") -> dict[str, Any]:
    """Return an error response, with an example for each cause."""
    examples = {cause: {"value": _write_problem(status, text, method)} for cause, text in texts.items()}
    content = {"application/problem+json": {"schema": ProblemSchema, "examples": examples}}
    return {"description": HTTP_STATUS_CODES[status], "headers": refer(HEADERS.get(status, [])), "content": content}


def _write_problem(status: int, text: Text, method: str) -> dict[str, Any]:
    """Return the body of an error (web/problems.py)."""
    if isinstance(text, dict):
        member, messages = next(iter(text.items()))
        return make_problem(status, f"{member}: {messages[0]}", errors=text)
    detail = text.format(accepted=" or ".join(accepted_media_types(method)))
    return make_problem(status, detail, **({"request_id": "5f0c6b3e"} if status >= 500 else {}))

"""What the OpenAPI document says of errors, with an example for each cause; tests hear the service say the same."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from apispec import APISpec
from marshmallow import Schema
from werkzeug.http import HTTP_STATUS_CODES

from todo.tasks.queries import Changed
from todo.web.bodies import TOO_LARGE, accepted_media_types
from todo.web.cursors import InvalidCursor
from todo.web.endpoints import Declaration
from todo.web.problems import DETAILS, ProblemSchema, make_problem

Said = str | dict[str, list[str]]  # The sentence, or what is wrong with which member.

# What is said, by what of a request is the cause. Besides, the schemas of queries and bodies refuse what they refuse.
REFUSALS: dict[str, dict[int, Said]] = {
    "caller": {
        401: "No token: send it as Authorization: Bearer <JWT>.",
        429: "More than 600 per 1 minute; try again in 21 seconds.",
    },
    "path": {404: DETAILS[404]},
    "query": {400: InvalidCursor.description},
    "body": {
        400: "The body must be a JSON object.",
        413: TOO_LARGE,
        415: "Send the body as Content-Type: {accepted}.",
    },
    "Idempotency-Key": {
        400: "Idempotency-Key: must have 1 to 255 printable ASCII characters.",
        409: "The task that was created with this Idempotency-Key has been deleted; choose a new key.",
        422: {"Idempotency-Key": ["It was used for another body; choose a new key."]},
    },
    "If-Match": {412: Changed.description},
    "service": {500: DETAILS[500], 503: DETAILS[503]},
}
# These differ from one operation to another; what the others say, the document has once.
VARYING = {400, 415, 422}
HEADERS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}


def add_refusals(spec: APISpec) -> None:
    """Add those that are the same for all operations."""
    for cause, refusals in REFUSALS.items():
        for status, said in refusals.items():
            if status not in VARYING:
                spec.components.response(_name(status), _describe(status, {cause: said}))


def list_refusals(declaration: Declaration, method: str, *, has_path: bool) -> Iterator[tuple[str, Any]]:
    """Yield what an operation answers if something is wrong, by status; those that all have in common by name."""
    shapes = {"query": declaration.query, "body": declaration.body}
    causes = ["caller", *(["path"] if has_path else []), *(part for part, shape in shapes.items() if shape)]
    answers: dict[int, dict[str, Said]] = defaultdict(dict)
    for cause in (*causes, *declaration.reads, "service"):
        for status, said in REFUSALS.get(cause, {}).items():
            answers[status][cause] = said
        if shape := shapes.get(cause):
            answers[422][cause] = _provoke(shape)
    for status, said_of in sorted(answers.items()):
        yield str(status), _describe(status, said_of, method) if status in VARYING else _name(status)


def refer(headers: list[str]) -> dict[str, Any]:
    """Return where the document describes these headers, and X-Request-ID, which every answer has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *headers]}


def _provoke(shape: Schema) -> dict[str, list[str]]:
    """Return the errors of a schema's example of what it refuses."""
    return shape.validate(getattr(shape, "refused", {}))


def _name(status: int) -> str:
    return HTTP_STATUS_CODES[status].replace(" ", "")


def _describe(status: int, said_of: dict[str, Said], method: str = "") -> dict[str, Any]:
    """Return a refusal, with an example for each cause."""
    examples = {cause: {"value": _write_problem(status, said, method)} for cause, said in said_of.items()}
    content = {"application/problem+json": {"schema": ProblemSchema, "examples": examples}}
    return {"description": HTTP_STATUS_CODES[status], "headers": refer(HEADERS.get(status, [])), "content": content}


def _write_problem(status: int, said: Said, method: str) -> dict[str, Any]:
    """Return an error as it is answered (see problems.py)."""
    if isinstance(said, dict):
        member, messages = next(iter(said.items()))
        return make_problem(status, f"{member}: {messages[0]}", errors=said)
    detail = said.format(accepted=" or ".join(accepted_media_types(method)))
    return make_problem(status, detail, **({"request_id": "5f0c6b3e"} if status >= 500 else {}))

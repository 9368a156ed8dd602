"""The OpenAPI document, made from the declarations that validate (see endpoints.py)."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, current_app
from marshmallow import Schema
from werkzeug.routing import Rule

from todo.endpoints import Declaration, accepted_media_types
from todo.problems import DETAILS, ProblemSchema

openapi = Blueprint("openapi", __name__)

PARAMETERS: dict[str, dict[str, Any]] = {
    "task_id": {"type": "integer", "format": "int64", "minimum": 1},
    "user_id": {"type": "string"},
}
# What any operation may answer besides what it declares.
ALWAYS = (401, 429, 500, 503)

# Headers of requests: what each is for, a value, and what may be answered because of it.
REQUEST_HEADERS: dict[str, tuple[str, str, set[int]]] = {
    "Idempotency-Key": (
        "Creates one task however often it is sent, for at least 24 hours.",
        "5f0c6b3e",
        {400, 409, 422},
    ),
    "If-Match": ("Changes the task only if it is this version: its ETag, several, or *.", '"3"', {412}),
    "If-None-Match": ("Answers 304, without a body, if the task is still this version.", '"3"', set()),
}
# Headers of answers.
ANSWER_HEADERS = {
    "ETag": ("The task's version.", '"3"'),
    "Idempotent-Replayed": (
        "true if the task was created by an earlier request with the same Idempotency-Key.",
        "true",
    ),
    "Link": ("The next page, if there is one (RFC 8288).", '<https://api.example.com/api/tasks?cursor=…>; rel="next"'),
    "Location": ("Where the task is.", "/api/tasks/42"),
    "Retry-After": ("In how many seconds to try again.", "5"),
    "WWW-Authenticate": ("What is wrong with the token (RFC 6750).", 'Bearer error="invalid_token"'),
    "X-Request-ID": ("The request's id, which the log has too; yours, if you send a plain one.", "5f0c6b3e"),
}


def init_app(app: Flask) -> None:
    """Serve the document of the operations that are registered by now."""
    app.extensions["openapi"] = orjson.dumps(build_document(app))
    app.register_blueprint(openapi)


@openapi.get("/api/openapi.json")
def show_document() -> Response:
    """Answer the document; needs no token."""
    return Response(current_app.extensions["openapi"], content_type="application/json")


def build_document(app: Flask) -> dict[str, Any]:
    """Return every declared operation of the application, as OpenAPI 3.1."""
    spec = APISpec("Todo API", "1.0.0", "3.1.0", plugins=[MarshmallowPlugin()])
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    for name, (description, example) in ANSWER_HEADERS.items():
        spec.components.header(name, {"description": description, "schema": {"type": "string"}, "example": example})
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declaration: Declaration | None = getattr(view, "declaration", None)
        if declaration is not None:
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            operations = {method.lower(): _describe(rule, method, view.__doc__, declaration) for method in methods}
            spec.path(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), operations=operations)
    return dict(spec.to_dict())


def _describe(rule: Rule, method: str, docstring: str | None, declaration: Declaration) -> dict[str, Any]:
    """Return an operation."""
    refusals = {*ALWAYS, *((404,) if rule.arguments else ())}
    refusals |= {400, 422} if declaration.query else set()
    refusals |= {400, 413, 415, 422} if declaration.body else set()
    refusals |= {status for name in declaration.headers for status in REQUEST_HEADERS[name][2]}
    answers = {str(status): _answer(status, shape, declaration) for status, shape in declaration.responses.items()}
    answers |= {str(status): _refusal(status) for status in sorted(refusals)}
    operation: dict[str, Any] = {
        "operationId": f"{method.lower()}_{rule.endpoint.replace('.', '_')}",
        "summary": (docstring or "").strip().split("\n")[0],
        "security": [{"bearer": []}],
        "responses": answers,
    }
    if parameters := list(_list_parameters(rule, declaration)):
        operation["parameters"] = parameters
    if declaration.body is not None:
        content = {media_type: _show(declaration.body) for media_type in accepted_media_types(method)}
        required = any(field.required for field in declaration.body.fields.values())
        operation["requestBody"] = {"content": content, "required": required}
    return operation


def _list_parameters(rule: Rule, declaration: Declaration) -> Iterator[dict[str, Any]]:
    """Yield what an operation takes but its body."""
    for name in sorted(rule.arguments):
        yield {"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]}
    if declaration.query is not None:
        yield {"in": "query", "schema": declaration.query}
    for name in declaration.headers:
        description, example, _ = REQUEST_HEADERS[name]
        header = {"description": description, "schema": {"type": "string"}, "example": example}
        yield {"name": name, "in": "header", **header}


def _answer(status: int, shape: Schema | None, declaration: Declaration) -> dict[str, Any]:
    """Return what an operation answers if all is well."""
    headers = ["X-Request-ID"]
    if status == 304 or (shape is not None and not shape.many):
        headers.append("ETag")
    if status == 201:
        headers.append("Location")
        headers += ["Idempotent-Replayed"] if "Idempotency-Key" in declaration.headers else []
    if shape is not None and shape.many:
        headers.append("Link")
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _refer(headers)}
    if shape is not None:
        answer["content"] = {"application/json": _show(shape)}
    return answer


def _refusal(status: int) -> dict[str, Any]:
    """Return what any operation answers if something is wrong."""
    headers = ["X-Request-ID"]
    headers += ["WWW-Authenticate"] if status == 401 else []
    headers += ["Retry-After"] if status in {429, 503} else []
    phrase = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": phrase, "status": status, "detail": DETAILS.get(status, f"{phrase}.")}
    if status == 422:
        problem |= {"detail": "title: Required: a string of 1 to 200 characters."}
        problem |= {"errors": {"title": ["Required: a string of 1 to 200 characters."]}}
    if status >= 500:
        problem |= {"request_id": "5f0c6b3e"}
    content = {"application/problem+json": {"schema": ProblemSchema, "example": problem}}
    return {"description": phrase, "headers": _refer(headers), "content": content}


def _refer(headers: list[str]) -> dict[str, Any]:
    """Return where the document describes these headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _show(shape: Schema) -> dict[str, Any]:
    """Return a schema, with the example that it has, if any."""
    example = getattr(shape, "example", None)
    if example is None:
        return {"schema": shape}
    return {"schema": shape, "example": [example] if shape.many else example}

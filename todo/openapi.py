"""The OpenAPI document, made from the declarations that validate (see endpoints.py)."""

import re
from http import HTTPStatus
from typing import Any

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, current_app
from werkzeug.routing import Rule

from todo.endpoints import Declaration, accepted_media_types
from todo.problems import ProblemSchema

openapi = Blueprint("openapi", __name__)

PARAMETERS: dict[str, dict[str, Any]] = {
    "task_id": {"type": "integer", "format": "int64", "minimum": 1},
    "user_id": {"type": "string"},
}
# What any operation may answer besides what it declares.
ALWAYS = (401, 429, 500, 503)


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
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declaration: Declaration | None = getattr(view, "declaration", None)
        if declaration is not None:
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            operations = {method.lower(): _describe(rule, method, view.__doc__, declaration) for method in methods}
            spec.path(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), operations=operations)
    return dict(spec.to_dict())


def _describe(rule: Rule, method: str, docstring: str | None, declaration: Declaration) -> dict[str, Any]:
    refusals = {*ALWAYS, *((404,) if rule.arguments else ())}
    refusals |= {400, 422} if declaration.query else set()
    refusals |= {400, 413, 415, 422} if declaration.body else set()
    answers: dict[str, Any] = {
        str(status): _answer(status, "application/json", shape) for status, shape in declaration.responses.items()
    }
    answers |= {str(status): _answer(status, "application/problem+json", ProblemSchema) for status in sorted(refusals)}
    operation: dict[str, Any] = {
        "operationId": f"{method.lower()}_{rule.endpoint.replace('.', '_')}",
        "summary": (docstring or "").strip().split("\n")[0],
        "security": [{"bearer": []}],
        "responses": answers,
    }
    parameters: list[Any] = [
        {"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]} for name in sorted(rule.arguments)
    ]
    if declaration.query is not None:
        parameters.append({"in": "query", "schema": declaration.query})
    if parameters:
        operation["parameters"] = parameters
    if declaration.body is not None:
        body = {media_type: {"schema": declaration.body} for media_type in accepted_media_types(method)}
        required = any(field.required for field in declaration.body.fields.values())
        operation["requestBody"] = {"content": body, "required": required}
    return operation


def _answer(status: int, media_type: str, shape: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if shape is not None:
        answer["content"] = {media_type: {"schema": shape}}
    return answer

"""The OpenAPI document, built from the declarations that validate requests (web/endpoints.py)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, current_app
from marshmallow import Schema
from marshmallow.fields import Field
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from config import Settings
from todo.openapi.errors import add_errors, list_errors, refer
from todo.openapi.texts import BEARER, INFO, PATH_PARAMETERS, REQUEST_HEADERS, RESPONSE_HEADERS, SERVERS, TAGS
from todo.web.bodies import accepted_media_types
from todo.web.endpoints import Declaration, Responses
from todo.web.parameters import Aliases

openapi = Blueprint("openapi", __name__)

# The order of the operations of a path.
SHOWN_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Operation:
    """A method of a path, and its view."""

    rule: Rule
    method: str
    docstring: str
    declaration: Declaration
    responses: Responses

    @property
    def path(self) -> str:
        """The path as OpenAPI writes it."""
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", self.rule.rule)

    @property
    def id(self) -> str:
        return f"{self.method.lower()}_{self.rule.endpoint.replace('.', '_')}"

    @property
    def tag(self) -> str:
        """The blueprint's name: there is one for each spelling of the paths."""
        return str(self.rule.endpoint).split(".")[-2]


def init_app(app: Flask, settings: Settings) -> None:
    """Serve the document of all operations that are registered so far."""
    app.extensions["openapi"] = orjson.dumps(build_document(app, settings))
    app.register_blueprint(openapi)


@openapi.get("/api/openapi.json")
def show_document() -> Response:
    """Return the document; needs no token."""
    return Response(current_app.extensions["openapi"], content_type="application/json")


def format_document(app: Flask, settings: Settings) -> str:
    """Return the document with indentation."""
    return orjson.dumps(build_document(app, settings), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def build_document(app: Flask, settings: Settings) -> dict[str, Any]:
    """Return all declared operations of the application, as OpenAPI 3.1."""
    plugin = MarshmallowPlugin()
    spec = APISpec("Todo API", "1.0.0", "3.1.0", plugins=[plugin], info=INFO, servers=SERVERS, tags=TAGS)
    plugin.converter.add_attribute_function(_explain)  # type: ignore[union-attr]  # APISpec creates it.
    spec.components.security_scheme("bearer", BEARER)
    for name, header in RESPONSE_HEADERS.items():
        spec.components.header(name, header._asdict())
    add_errors(spec)
    operations = sorted(
        _list_operations(app, settings), key=lambda operation: (operation.path, SHOWN_METHODS.index(operation.method))
    )
    for operation in operations:
        spec.path(operation.path, operations={operation.method.lower(): _describe(operation, operations)})
    return dict(spec.to_dict())


def _list_operations(app: Flask, settings: Settings) -> Iterator[Operation]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declaration: Declaration | None = getattr(view, "declaration", None)
        if declaration is not None:
            for method in (rule.methods or set()) & set(SHOWN_METHODS):
                yield Operation(rule, method, view.__doc__ or "", declaration, declaration.list_responses(settings))


def _explain(_: Any, field: Field[Any], **__: Any) -> dict[str, str]:
    """Return the description of a schema's field, with its aliases."""
    name = str(field.name)
    about: str | None = getattr(field.parent, "about", {}).get(name)
    if about is None:
        return {}
    aliases: Aliases = getattr(field.parent, "aliases", Aliases())
    others = [alias for alias, meant in aliases.parameters.items() if meant == name]
    others += [f"{alias} for {meant}" for alias, meant in aliases.values.get(name, {}).items()]
    return {"description": f"{about} Also accepted: {', '.join(others)}." if others else about}


def _describe(operation: Operation, operations: list[Operation]) -> dict[str, Any]:
    """Return an operation; one that creates has links to the operations on the new resource."""
    declaration = operation.declaration
    responses = {
        str(status): _describe_response(status, shape, declaration) for status, shape in operation.responses.items()
    }
    if "201" in responses:
        responses["201"]["links"] = dict(_list_links(operation, operations))
    has_path, creates = bool(operation.rule.arguments), "201" in responses
    errors = dict(list_errors(declaration, operation.method, has_path=has_path, creates=creates))
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.docstring.strip().split("\n")[0],
        "security": [{"bearer": []}],
        "responses": responses | errors,
    }
    if parameters := list(_list_parameters(operation)):
        described["parameters"] = parameters
    if declaration.body is not None:
        content = {media_type: _show(declaration.body) for media_type in accepted_media_types(operation.method)}
        required = not declaration.body.partial and any(field.required for field in declaration.body.fields.values())
        described["requestBody"] = {"content": content, "required": required}
    return described


def _list_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield the parameters of an operation."""
    for name in sorted(operation.rule.arguments):
        yield {"name": name, "in": "path", **PATH_PARAMETERS[name]._asdict()}
    if operation.declaration.query is not None:
        yield {"in": "query", "schema": operation.declaration.query}
    for name in operation.declaration.reads:
        header = REQUEST_HEADERS[name]
        # The example is part of the description: a form would send an example value with every request.
        described = f"{header.description} Such as {header.example}."
        yield {"name": name, "in": "header", "description": described, "schema": header.schema}


def _describe_response(status: int, shape: Schema | None, declaration: Declaration) -> dict[str, Any]:
    """Return a successful response of an operation."""
    response: dict[str, Any] = {"description": HTTP_STATUS_CODES[status], "headers": refer([*declaration.sends])}
    if shape is not None:
        response["content"] = {"application/json": _show(shape)}
    return response


def _list_links(creation: Operation, operations: list[Operation]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield links to the operations on the created task, with its version."""
    for operation in operations:
        if operation.tag == creation.tag and "task_id" in operation.rule.arguments:
            parameters = {name: f"$request.path.{name}" for name in creation.rule.arguments}
            parameters["task_id"] = "$response.body#/id"
            if "If-Match" in operation.declaration.reads:
                parameters["If-Match"] = "$response.header.ETag"
            yield operation.id, {"operationId": operation.id, "parameters": parameters}


def _show(shape: Schema) -> dict[str, Any]:
    """Return a schema, with its example if it has one."""
    example = getattr(shape, "example", None)
    if example is None:
        return {"schema": shape}
    return {"schema": shape, "example": [example] if shape.many else example}

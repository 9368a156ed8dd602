"""The OpenAPI document, built from the declarations that validate requests (web/endpoints.py).

Several routes can lead to one view. The document has the first, which stands next to the declaration.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import orjson
from apispec import APISpec
from flask import Blueprint, Flask, Response, current_app
from marshmallow import Schema
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from config import Settings
from todo.openapi.errors import add_errors, list_errors, refer
from todo.openapi.schemas import Plugin
from todo.openapi.texts import BEARER, INFO, PATH_PARAMETERS, REQUEST_HEADERS, RESPONSE_HEADERS, SERVER, TAGS
from todo.version import VERSION
from todo.web.endpoints import Declaration, File
from todo.web.parameters import list_documented
from todo.web.responses import reply
from todo.web.urls import build_base

openapi = Blueprint("openapi", __name__)

# The order of the operations of a path.
SHOWN_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Operation:
    """A method of a path, and its view, whose docstring has a summary and a description."""

    rule: Rule
    method: str
    name: str
    docstring: str
    declaration: Declaration

    @property
    def path(self) -> str:
        """The path as OpenAPI writes it."""
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", self.rule.rule)

    @property
    def id(self) -> str:
        """The view's name in camel case, such as listTasks. Generated clients have functions of this name."""
        first, *others = self.name.split("_")
        return first + "".join(map(str.title, others))

    @property
    def texts(self) -> dict[str, str]:
        """The summary, without a full stop, and the description."""
        summary, _, rest = cleandoc(self.docstring).replace("``", "`").partition("\n")
        paragraphs = [" ".join(paragraph.split()) for paragraph in rest.strip().split("\n\n")]
        return {"summary": summary.removesuffix("."), "description": "\n\n".join(paragraphs)}

    @property
    def tag(self) -> str:
        """The part of the path after /api."""
        return self.path.split("/")[2]


def init_app(app: Flask, settings: Settings) -> None:
    """Serve the document of all operations that are registered so far."""
    app.extensions["openapi"] = build_document(app, settings)
    app.register_blueprint(openapi)


@openapi.get("/api/openapi.json")
def show_document() -> Response:
    """Return the document with the address of the service as the client knows it; needs no token."""
    servers = [{**SERVER, "url": build_base() or "/"}]
    return reply({**current_app.extensions["openapi"], "servers": servers})


def format_document(app: Flask, settings: Settings) -> str:
    """Return the document with indentation."""
    return orjson.dumps(build_document(app, settings), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def build_document(app: Flask, settings: Settings) -> dict[str, Any]:
    """Return all declared operations of the application, as OpenAPI 3.1."""
    spec = APISpec("Todo API", VERSION, "3.1.0", plugins=[Plugin()], info=INFO, servers=[SERVER], tags=TAGS)
    spec.components.security_scheme("bearer", BEARER)
    for name, header in RESPONSE_HEADERS.items():
        spec.components.header(name, header._asdict())
    add_errors(spec)
    operations = sorted(
        _list_operations(app, settings), key=lambda operation: (operation.path, SHOWN_METHODS.index(operation.method))
    )
    for operation in operations:
        spec.path(operation.path, operations={operation.method.lower(): _describe(operation)})
    return dict(spec.to_dict())


def _list_operations(app: Flask, settings: Settings) -> Iterator[Operation]:
    shown = set()
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declare: Callable[[Settings], Declaration] | None = getattr(view, "declare", None)
        if declare is not None and view not in shown:
            shown.add(view)
            for method in (rule.methods or set()) & set(SHOWN_METHODS):
                yield Operation(rule, method, view.__name__, view.__doc__ or "", declare(settings))


def _describe(operation: Operation) -> dict[str, Any]:
    """Return an operation."""
    declaration = operation.declaration
    responses = {
        str(status): _describe_response(status, shape, declaration) for status, shape in declaration.responses.items()
    }
    errors = dict(list_errors(declaration, operation.method, has_path=bool(operation.rule.arguments)))
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        **operation.texts,
        "security": [{"bearer": []}],
        "responses": responses | errors,
    }
    if parameters := list(_list_parameters(operation)):
        described["parameters"] = parameters
    if declaration.body is not None:
        # One media type, because two make a union of equal bodies in generated clients.
        content = {"application/json": _show(declaration.body)}
        needed = any(field.required for field in declaration.body.fields.values())
        required = needed and not declaration.body.partial and not getattr(declaration.body, "optional", False)
        described["requestBody"] = {"content": content, "required": required}
    return described


def _list_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield the parameters of an operation."""
    for name in sorted(operation.rule.arguments):
        description, schema, _, required = PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "description": description, "schema": schema, "required": required}
    if (query := operation.declaration.query) is not None:
        yield {"in": "query", "schema": type(query)(only=list_documented(query))}
    for name in operation.declaration.reads:
        header = REQUEST_HEADERS[name]
        # The example is part of the description: a form would send an example value with every request.
        described = f"{header.description} Such as {header.example}."
        yield {"name": name, "in": "header", "description": described, "schema": header.schema}


def _describe_response(status: int, shape: Schema | File | None, declaration: Declaration) -> dict[str, Any]:
    """Return a successful response of an operation."""
    response: dict[str, Any] = {"description": HTTP_STATUS_CODES[status], "headers": refer([*declaration.sends])}
    if isinstance(shape, File):
        response["content"] = {shape.media_type: {"schema": {"type": "string"}, "example": shape.example}}
    elif shape is not None:
        response["content"] = {"application/json": _show(shape)}
    return response


def _show(shape: Schema) -> dict[str, Any]:
    """Return a schema, with its example if it has one."""
    example = getattr(shape, "example", None)
    if example is None:
        return {"schema": shape}
    return {"schema": shape, "example": [example] if shape.many else example}

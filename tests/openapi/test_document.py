"""GET /api/openapi.json, generated from the same declarations that validate requests."""

import json
import re
from difflib import unified_diff
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from config import Settings
from tests.support.callers import Caller, list_routes
from tests.support.commands import ROOT, run
from tests.support.databases import SECRET
from tests.support.openapi import list_nodes, list_operations, resolve
from todo.openapi.document import format_document

COPY = ROOT / "docs" / "openapi.json"


def test_the_document_is_valid_openapi_3_1_without_a_token(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"Host": "localhost:8000"}, "http://localhost:8000"),
        (
            {"X-Forwarded-Host": "example.com", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/todo"},
            "https://example.com/todo",
        ),
        ({"Host": "a b"}, "/"),
    ],
)
def test_the_server_is_the_address_of_the_request(client: FlaskClient, headers: dict[str, str], address: str) -> None:
    document: Any = client.get("/api/openapi.json", headers=headers).json
    assert [server["url"] for server in document["servers"]] == [address]


def test_the_server_of_the_copy_is_the_default_address() -> None:
    assert [server["url"] for server in json.loads(COPY.read_text())["servers"]] == ["http://localhost:8000"]


def test_the_committed_copy_is_current(app: Flask, settings: Settings) -> None:
    committed = COPY.read_text().splitlines()
    served = format_document(app, settings).splitlines()
    changes = list(unified_diff(committed, served, "docs/openapi.json", "what the service says", n=1, lineterm=""))
    assert not changes, "\n".join(["Run `make document`, and commit what it writes:", *changes[:50]])


def test_flask_openapi_prints_the_document(document: Any) -> None:
    printed = run("flask", "openapi", settings={"BETTER_AUTH_SECRET": SECRET})
    assert {**json.loads(printed.stdout), "servers": document["servers"]} == document


# The other spellings of operations. The document has one of each, because tools make a function of each.
ALIASES = {
    *(("PATCH", f"/api/tasks/{{task_id}}/{end}") for end in ("toggle", "status")),
    *((method, f"/api/tasks/{{task_id}}/{end}") for method in ("POST", "PUT") for end in ("complete", "toggle")),
}


def test_the_document_lists_every_route_once(app: Flask, document: Any) -> None:
    routes = {each for each in list_routes(app) if not each[1].startswith("/api/{user_id}")}
    assert {(method, path) for method, path, _ in list_operations(document)} == routes - ALIASES
    assert routes > ALIASES


def test_each_route_has_a_path_with_the_user_id_too(app: Flask, document: Any) -> None:
    routes = list_routes(app)
    short = {(method, path) for method, path in routes if path.startswith(("/api/tasks", "/api/trash"))}
    assert {(method, path.replace("/api", "/api/{user_id}", 1)) for method, path in short} == routes - short
    assert "`/api/{user_id}/tasks`" in document["info"]["description"]


def test_operation_ids_are_names_of_functions(document: Any) -> None:
    names = {operation["operationId"]: f"{method} {path}" for method, path, operation in list_operations(document)}
    assert (
        names.items()
        >= {
            "listTasks": "GET /api/tasks",
            "createTask": "POST /api/tasks",
            "getTask": "GET /api/tasks/{task_id}",
            "replaceTask": "PUT /api/tasks/{task_id}",
            "updateTask": "PATCH /api/tasks/{task_id}",
            "completeTask": "PATCH /api/tasks/{task_id}/complete",
            "deleteTask": "DELETE /api/tasks/{task_id}",
        }.items()
    )
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)+", name) for name in names)


def test_every_operation_has_a_description_and_its_errors(document: Any) -> None:
    operations = [operation for _, _, operation in list_operations(document)]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert len({operation["description"] for operation in operations}) == len(operations)
    for operation in operations:
        assert re.fullmatch(r"[A-Z][\w ]+", operation["summary"])
        assert operation["description"].endswith(".")
        assert operation["security"] == [{"bearer": []}]
        assert set(operation["tags"]) <= {tag["name"] for tag in document["tags"]}
        assert {"401", "500", "503"} <= set(operation["responses"])
        answers = [resolve(document, answer) for answer in operation["responses"].values()]
        assert all("X-Request-ID" in answer["headers"] for answer in answers)
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"])


def test_every_operation_lists_its_request_and_response_headers(document: Any) -> None:
    of_one, of_all = document["paths"]["/api/tasks/{task_id}"], document["paths"]["/api/tasks"]
    read = {
        "get": (of_one["get"], {"If-None-Match"}, set()),
        "put": (of_one["put"], {"If-Match"}, {"412"}),
        "delete": (of_one["delete"], {"If-Match"}, {"412"}),
        "post": (of_all["post"], {"Idempotency-Key"}, {"400", "409"}),
    }
    for operation, names, statuses in read.values():
        assert {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"} == names
        assert statuses <= set(operation["responses"])
    assert set(of_all["get"]["responses"]["200"]["headers"]) == {"X-Request-ID", "Link"}
    created = {"X-Request-ID", "ETag", "Location", "Idempotent-Replayed"}
    assert set(of_all["post"]["responses"]["201"]["headers"]) == created
    assert set(of_one["get"]["responses"]["304"]["headers"]) == {"X-Request-ID", "ETag"}
    refusals = {status: resolve(document, answer) for status, answer in of_all["get"]["responses"].items()}
    assert "WWW-Authenticate" in refusals["401"]["headers"]
    assert "Retry-After" in refusals["429"]["headers"]


def test_examples_match_their_schemas(document: Any, alice: Caller) -> None:
    post = document["paths"]["/api/tasks"]["post"]
    new, answered = (
        part["content"]["application/json"]["example"] for part in (post["requestBody"], post["responses"]["201"])
    )
    task = alice.add(**new)
    assert task.keys() == answered.keys()
    assert {name: task[name] for name in new} == {name: answered[name] for name in new}


def test_every_reference_resolves(document: Any) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    found = set(references(document))
    assert len(found) > 3
    for reference in found:
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][kind]


def test_the_document_is_what_generators_of_clients_understand(document: Any) -> None:
    nodes = list(list_nodes(document))
    assert [node for node in nodes if node.get("additionalProperties") is False or "uniqueItems" in node] == []
    assert [node for node in nodes if "links" in node or None in node.get("enum", [])] == []
    schemas = document["components"]["schemas"]
    assert schemas["Priority"]["enum"] == ["low", "medium", "high"]
    for name in ("Task", "NewTask", "TaskChanges"):
        members = schemas[name]["properties"]
        assert members["priority"]["anyOf"] == [{"$ref": "#/components/schemas/Priority"}, {"type": "null"}]
        assert members["due_date"]["type"] == ["string", "null"]
        assert "format" not in members["due_date"]
        assert [len(example) > 10 for example in members["due_date"]["examples"]] == [False, True]
    bodies = [operation["requestBody"] for *_, operation in list_operations(document) if "requestBody" in operation]
    assert {tuple(body["content"]) for body in bodies} == {("application/json",)}
    assert document["info"]["contact"]


def test_patterns_are_short_and_only_in_requests(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert [node for name in ("Task", "Problem") for node in list_nodes(schemas[name]) if "pattern" in node] == []
    assert [node for node in list_nodes(document["components"]["headers"]) if "pattern" in node] == []
    patterns = [node["pattern"] for node in list_nodes(document) if "pattern" in node]
    assert patterns
    assert max(map(len, patterns)) < 40


def test_the_examples_of_headers_are_ascii(document: Any) -> None:
    headers = document["components"]["headers"].values()
    assert all(str(header["example"]).isascii() for header in headers)


def test_query_parameters_have_the_types_of_their_values(document: Any) -> None:
    parameters = {each["name"]: each["schema"] for each in document["paths"]["/api/tasks"]["get"]["parameters"]}
    assert parameters["completed"] == {"type": "boolean"}
    assert parameters["limit"]["type"] == "integer"
    assert "offset" not in parameters
    assert document["paths"]["/api/tasks/{task_id}"]["get"]["parameters"][0]["schema"]["examples"] == [42]

"""GET /api/openapi.json, generated from the same declarations that validate requests."""

import json
import re
from difflib import unified_diff
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from config import Settings
from tests.support.callers import Caller
from tests.support.commands import ROOT, run
from tests.support.databases import SECRET
from tests.support.openapi import list_operations, resolve
from todo.openapi.document import format_document

# The paths that need no token: the document and the page that shows it.
OPEN = ("/api/openapi.json", "/api/docs")
COPY = ROOT / "docs" / "openapi.json"


def test_the_document_is_valid_openapi_3_1_without_a_token(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


@pytest.mark.parametrize("address", ["http://localhost:8000", "https://example.com/todo"])
def test_the_server_url_is_the_url_of_the_request(document: Any, address: str) -> None:
    [server] = document["servers"]
    assert urljoin(f"{address}/api/openapi.json", server["url"]).rstrip("/") == address


def test_the_committed_copy_is_current(app: Flask, settings: Settings) -> None:
    committed = COPY.read_text().splitlines()
    served = format_document(app, settings).splitlines()
    changes = list(unified_diff(committed, served, "docs/openapi.json", "what the service says", n=1, lineterm=""))
    assert not changes, "\n".join(["Run `make document`, and commit what it writes:", *changes[:50]])


def test_flask_openapi_prints_the_document(document: Any) -> None:
    printed = run("flask", "openapi", settings={"BETTER_AUTH_SECRET": SECRET})
    assert json.loads(printed.stdout) == document


def test_the_document_lists_exactly_the_routes_that_need_a_token(app: Flask, document: Any) -> None:
    routes = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and not rule.rule.startswith(OPEN)
    }
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} == routes
    assert len(routes) >= 16


def test_every_operation_has_a_description_and_its_errors(document: Any) -> None:
    operations = [operation for _, _, operation in list_operations(document)]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["security"] == [{"bearer": []}]
        assert set(operation["tags"]) < {tag["name"] for tag in document["tags"]}
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


@pytest.mark.parametrize("prefix", ["/api/tasks", "/api/{user_id}/tasks"])
def test_create_links_to_the_operations_on_the_task(document: Any, prefix: str) -> None:
    links = document["paths"][prefix]["post"]["responses"]["201"]["links"].values()
    operations = {operation["operationId"]: (method, path) for method, path, operation in list_operations(document)}
    linked = [operations[link["operationId"]] for link in links]
    assert linked == [each for each in operations.values() if each[1].startswith(f"{prefix}/")]
    assert len(linked) == 6
    assert all(link["parameters"]["task_id"] == "$response.body#/id" for link in links)


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

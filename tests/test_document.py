"""GET /api/openapi.json: made from the declarations that validate, so it cannot say something else."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.callers import Caller


@pytest.fixture
def document(client: FlaskClient) -> Any:
    response = client.get("/api/openapi.json")
    assert response.status_code == 200
    return response.json


def test_it_is_openapi_3_1_and_needs_no_token(document: Any) -> None:
    assert document["openapi"] == "3.1.0"


def test_every_route_that_needs_a_token_is_in_it_and_nothing_else(app: Flask, document: Any) -> None:
    routes = {
        (method.lower(), rule.rule.replace("<path:", "<").replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and rule.rule != "/api/openapi.json"
    }
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} == routes
    assert len(routes) == 14


def test_every_operation_says_what_it_is_and_what_may_go_wrong(document: Any) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["security"] == [{"bearer": []}]
        assert {"401", "500", "503"} <= set(operation["responses"])
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"])


def test_what_it_says_of_a_new_task_is_what_is_checked(document: Any, alice: Caller) -> None:
    schema = document["components"]["schemas"]["NewTask"]
    assert schema["required"] == ["title"]
    title, description = schema["properties"]["title"], schema["properties"]["description"]
    assert (title["minLength"], title["maxLength"]) == (1, 200)
    assert description["maxLength"] == 1000
    assert set(description["type"]) == {"string", "null"}
    for length, status in ((title["maxLength"], 201), (title["maxLength"] + 1, 422)):
        assert alice.post("/api/tasks", json={"title": "x" * length}).status_code == status


def test_every_reference_leads_somewhere(document: Any) -> None:
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

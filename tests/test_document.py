"""GET /api/openapi.json: made from the declarations that validate, so it cannot say something else."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.callers import Caller
from todo.problems import ProblemSchema


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
        assert all("X-Request-ID" in answer["headers"] for answer in operation["responses"].values())
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


def test_it_has_every_header_that_an_operation_reads_and_answers(document: Any) -> None:
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
    assert "WWW-Authenticate" in of_all["get"]["responses"]["401"]["headers"]
    assert "Retry-After" in of_all["get"]["responses"]["429"]["headers"]


def test_its_examples_are_what_it_says_of_them(document: Any, alice: Caller) -> None:
    post = document["paths"]["/api/tasks"]["post"]
    new, answered = (
        part["content"]["application/json"]["example"] for part in (post["requestBody"], post["responses"]["201"])
    )
    task = alice.add(**new)
    assert task.keys() == answered.keys()
    assert {name: task[name] for name in new} == {name: answered[name] for name in new}
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                problem = answer.get("content", {}).get("application/problem+json", {}).get("example")
                assert problem is None or (not ProblemSchema().validate(problem) and problem["status"] == int(status))


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

"""The schemas of the document accept what the service accepts, as far as short ones can say it."""

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.support.callers import Caller
from tests.support.openapi import list_nodes, list_operations

LONG = "x" * 200
BODIES: list[Any] = [
    *({"title": title} for title in ("x", " x\t", LONG, "a\nb", "𝄞" * 200)),
    *({"title": title} for title in ("", " ", "\x1c\u2003", f"{LONG}x", f"x{LONG}", "a\0b", "\0", None, 1, ["x"])),
    *({"title": "x", "description": text} for text in ("", None, "x" * 1000, "x" * 1001, "\0", 1)),
    *({"title": "x", "completed": value} for value in (True, False, None, 1, "true")),
    *({"title": "x", "priority": value} for value in ("low", None, 1)),
    *(
        {"title": "x", "tags": tags}
        for tags in (None, [], ["a", "b"], [" a "], ["x" * 50], [str(n) for n in range(20)])
    ),
    *({"title": "x", "tags": tags} for tags in ("a", [""], [" "], ["x" * 51], [None], ["\0"])),
    *({"title": "x", "tags": [str(number) for number in range(count)]} for count in (20, 21)),
    *({"title": "x", "due_date": due} for due in ("2026-12-31", "2026-12-31T17:00:00Z", "2024-02-29", None)),
    *({"title": "x", "due_date": due} for due in ("2026-12-31T17:00:00.5+05:30", "2026-12-31t17:00:00z")),
    *({"title": "x", "due_date": due} for due in (1, ["2026-12-31"])),
    {"title": "x", "id": "mine", "nobody knows": {}},
    {"description": "x"},
    {},
    [],
]
# A generated client that checks bodies refuses the first before it sends them. The service explains the others.
REFUSED_BY_THE_SCHEMA_ONLY: list[Any] = [
    {"title": f"\u3000{LONG}\n"},
    {"title": "x", "tags": [f" {'x' * 50}"]},
    *({"title": "x", "priority": priority} for priority in ("Low", "none", "")),
]
REFUSED_BY_THE_SERVICE_ONLY: list[Any] = [
    {"title": "x", "tags": ["a", "A"]},
    {"title": "\u200b"},
    *({"title": "x", "due_date": due} for due in ("2026-02-30", "2026-12-31T17:00:00", "2026-1-1", "tomorrow")),
]


@pytest.mark.parametrize("body", BODIES)
def test_create_accepts_exactly_what_the_schema_allows(document: Any, alice: Caller, body: Any) -> None:
    allowed = make_validator(document, document["components"]["schemas"]["NewTask"]).is_valid(body)
    assert alice.post("/api/tasks", json=body).status_code in ({201} if allowed else {400, 422})


def test_the_service_accepts_more_than_the_schema(document: Any, alice: Caller) -> None:
    validator = make_validator(document, document["components"]["schemas"]["NewTask"])
    assert not any(map(validator.is_valid, REFUSED_BY_THE_SCHEMA_ONLY))
    assert {alice.post("/api/tasks", json=body).status_code for body in REFUSED_BY_THE_SCHEMA_ONLY} == {201}


def test_the_service_checks_more_than_the_schema(document: Any, alice: Caller) -> None:
    validator = make_validator(document, document["components"]["schemas"]["NewTask"])
    assert all(map(validator.is_valid, REFUSED_BY_THE_SERVICE_ONLY))
    assert {alice.post("/api/tasks", json=body).status_code for body in REFUSED_BY_THE_SERVICE_ONLY} == {422}


def test_every_example_matches_its_schema(document: Any) -> None:
    tried = 0
    for node in list_nodes(document):
        if "schema" in node and ("example" in node or "examples" in node):
            examples = [node["example"]] if "example" in node else [each["value"] for each in node["examples"].values()]
            for example in examples:
                make_validator(document, node["schema"]).validate(example)
                tried += 1
    assert tried > 40


def test_every_field_of_a_task_has_valid_examples(document: Any) -> None:
    tried = [
        make_validator(document, field).is_valid(example)
        for field in list_nodes(document["components"]["schemas"])
        if isinstance(field.get("examples"), list)
        for example in field["examples"]
    ]
    assert len(tried) > 20
    assert all(tried)
    # They have none: most tasks are open.
    assert [
        name
        for name, field in document["components"]["schemas"]["Task"]["properties"].items()
        if "examples" not in field
    ] == ["completed_at", "next_id"]


def test_read_only_fields_are_marked(document: Any) -> None:
    schemas = document["components"]["schemas"]
    read_only = {name for name, member in schemas["Task"]["properties"].items() if member.get("readOnly")}
    assert read_only == schemas["Task"]["properties"].keys() - schemas["NewTask"]["properties"].keys()


def test_everything_has_a_description(document: Any) -> None:
    fields = [
        member
        for schema in document["components"]["schemas"].values()
        for member in schema.get("properties", {}).values()
    ]
    parameters = [each for _, _, operation in list_operations(document) for each in operation.get("parameters", [])]
    headers = document["components"]["headers"].values()
    assert [each for each in (*fields, *parameters, *headers) if not each.get("description", "").endswith(".")] == []


def make_validator(document: Any, schema: Any) -> OAS31Validator:
    """Return the validator of a schema, with the components that it refers to."""
    whole = {**schema, "components": document["components"]}
    return OAS31Validator(whole, format_checker=OAS31Validator.FORMAT_CHECKER)

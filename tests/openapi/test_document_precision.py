"""The schemas of the document accept exactly the values that the service accepts."""

import re
import sys
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.support.callers import Caller
from tests.support.openapi import list_operations
from todo.web.fields import SPACE

LONG = "x" * 200
BODIES: list[Any] = [
    *({"title": title} for title in ("x", " x\t", LONG, f"\u3000{LONG}\n", "\ufeff", "a\nb", "𝄞" * 200)),
    *({"title": title} for title in ("", " ", "\x1c\u2003", f"{LONG}x", f"x{LONG}", "a\0b", "\0", None, 1, ["x"])),
    *({"title": "x", "description": text} for text in ("", None, "x" * 1000, "x" * 1001, "\0", 1)),
    *({"title": "x", "completed": value} for value in (True, False, None, 1, "true")),
    *({"title": "x", "priority": value} for value in ("low", None, "Low", "", 1)),
    *(
        {"title": "x", "tags": tags}
        for tags in (None, [], ["a", "b"], [" a "], ["x" * 50], [str(n) for n in range(20)])
    ),
    *({"title": "x", "tags": tags} for tags in ("a", [""], [" "], ["x" * 51], ["a", "a"], [None], ["\0"])),
    *({"title": "x", "tags": [str(number) for number in range(count)]} for count in (20, 21)),
    *({"title": "x", "due_date": due} for due in ("2026-12-31", "2026-12-31T17:00:00Z", "2024-02-29", None)),
    *({"title": "x", "due_date": due} for due in ("2026-12-31T17:00:00.5+05:30", "2026-12-31t17:00:00z")),
    *({"title": "x", "due_date": due} for due in ("2026-02-30", "2026-12-31T17:00:00", "2026-1-1", "tomorrow", "", 1)),
    {"title": "x", "id": "mine", "nobody knows": {}},
    {"description": "x"},
    {},
    [],
]


@pytest.mark.parametrize("body", BODIES)
def test_create_accepts_exactly_what_the_schema_allows(document: Any, alice: Caller, body: Any) -> None:
    schema = document["components"]["schemas"]["NewTask"]
    allowed = OAS31Validator(schema, format_checker=OAS31Validator.FORMAT_CHECKER).is_valid(body)
    assert alice.post("/api/tasks", json=body).status_code in ({201} if allowed else {400, 422})


def test_white_space_in_patterns_is_what_python_strips() -> None:
    characters = "".join(map(chr, range(sys.maxunicode + 1)))
    assert re.findall(f"[{SPACE}]", characters) == [character for character in characters if not character.strip()]


def test_every_example_matches_its_schema(document: Any) -> None:
    tried = 0
    for node in list_nodes(document):
        if "schema" in node and ("example" in node or "examples" in node):
            examples = [node["example"]] if "example" in node else [each["value"] for each in node["examples"].values()]
            # Add the components that the schema refers to.
            schema = {**node["schema"], "components": document["components"]}
            validator = OAS31Validator(schema, format_checker=OAS31Validator.FORMAT_CHECKER)
            for example in examples:
                validator.validate(example)
                tried += 1
    assert tried > 100


def test_read_only_fields_are_marked(document: Any) -> None:
    schemas = document["components"]["schemas"]
    read_only = {name for name, member in schemas["Task"]["properties"].items() if member.get("readOnly")}
    assert read_only == schemas["Task"]["properties"].keys() - schemas["NewTask"]["properties"].keys()


def test_everything_has_a_description(document: Any) -> None:
    fields = [
        member for schema in document["components"]["schemas"].values() for member in schema["properties"].values()
    ]
    parameters = [each for _, _, operation in list_operations(document) for each in operation.get("parameters", [])]
    headers = document["components"]["headers"].values()
    assert [each for each in (*fields, *parameters, *headers) if not each.get("description", "").endswith(".")] == []
    [sort] = {each["description"] for each in parameters if each["name"] == "sort"}
    assert sort.endswith("Also accepted: sort_by, created_at for created, updated_at for updated.")


def list_nodes(node: Any) -> Any:
    """Yield every object in the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from list_nodes(child)

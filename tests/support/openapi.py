"""The OpenAPI document, as tests read it."""

from collections.abc import Iterator
from typing import Any


def resolve(document: Any, node: Any) -> Any:
    """What is described here, or where this refers to."""
    if "$ref" not in node:
        return node
    kind, name = node["$ref"].removeprefix("#/components/").split("/")
    return document["components"][kind][name]


def list_operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Method, path, and what is said of them."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation

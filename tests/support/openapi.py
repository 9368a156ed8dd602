"""Read the OpenAPI document."""

from collections.abc import Iterator
from typing import Any


def resolve(document: Any, node: Any) -> Any:
    """Return a node, or the component that it refers to."""
    if "$ref" not in node:
        return node
    kind, name = node["$ref"].removeprefix("#/components/").split("/")
    return document["components"][kind][name]


def list_nodes(node: Any) -> Iterator[Any]:
    """Yield every object in the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from list_nodes(child)


def list_operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and description of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation

"""The schemas of the OpenAPI document, written so that linters and generators of clients understand them."""

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema
from marshmallow.fields import Field


class Converter(OpenAPIConverter):
    """Converts the schemas that validate requests.

    ``about`` of a schema describes its fields, and ``example`` has their examples. A schema of requests has
    ``refused``, an invalid example.
    """

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        """Return a schema that allows further members: a generated client must not refuse those of a newer service."""
        described: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        return {name: value for name, value in described.items() if name != "additionalProperties"}

    def field2property(self, field: Field[Any]) -> dict[str, Any]:
        """Return the schema of a field, with its description and example."""
        described: dict[str, Any] = super().field2property(field)
        if not hasattr(field.root, "refused"):
            # Tools invent values from a pattern, and show it to people. The service needs none for its responses.
            described.pop("pattern", None)
        if field.allow_none and "enum" in described:
            described = self._name_enum(str(field.name), described)
        if isinstance(field.parent, Schema):
            described |= describe(field.parent, str(field.name), described)
        return described

    def _name_enum(self, field_name: str, described: dict[str, Any]) -> dict[str, Any]:
        """Return a nullable enum as a component or null: generators do not understand an enum that contains null."""
        spec: APISpec = self.spec
        name = field_name.title().replace("_", "")
        if name not in spec.components.schemas:
            spec.components.schema(name, {"type": "string", "enum": described["enum"]})
        others = {key: value for key, value in described.items() if key not in {"type", "enum"}}
        return {"anyOf": [spec.components.get_ref("schema", name), {"type": "null"}], **others}


class Plugin(MarshmallowPlugin):
    Converter = Converter


def describe(schema: Schema, name: str, described: dict[str, Any]) -> dict[str, Any]:
    """Return the description and the examples of a field; ``described`` may have examples already."""
    found: dict[str, Any] = {}
    about: str | None = getattr(schema, "about", {}).get(name)
    if about is not None:
        found["description"] = about
    # A subclass, such as the schema of changes, has an example with some of the fields.
    examples = [vars(each).get("example", {}).get(name) for each in type(schema).__mro__]
    for example in [each for each in examples if each is not None][:1]:
        found["examples"] = described.get("examples", [example])
    return found

"""Objects inside a body. Their errors are named by a path, such as operations.3.task.title."""

from collections.abc import Iterator
from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.exceptions import SCHEMA

from todo.web.endpoints import load_known
from todo.web.fields import name_type


class Part(fields.Nested):
    """An object inside a body. It is loaded like a body: a misspelled name is not lost."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema, error_messages={"null": "Must be an object, not null."})

    def _load(self, value: Any, partial: Any = None) -> Any:
        if not isinstance(value, dict):
            raise ValidationError(f"Must be an object, not {name_type(value)}.")
        return load_known(self.schema, value)


def flatten(messages: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield the messages of nested errors by their paths, those of an array in its order."""
    if not isinstance(messages, dict):
        yield path, messages
        return
    is_array = all(isinstance(name, int) for name in messages)
    for name in sorted(messages) if is_array else messages:
        inner = path if name == SCHEMA else f"{path}.{name}".removeprefix(".")
        yield from flatten(messages[name], inner)

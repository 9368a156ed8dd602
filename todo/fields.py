"""The kinds of value that come in, as JSON or in a query. Messages name what is allowed."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate

JSON_NAMES = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
Messages = dict[str, str | list[Any] | dict[Any, Any]]
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Text(fields.String):
    """A JSON string of bounded length in code points; what PostgreSQL cannot store is refused, not a 500."""

    def __init__(self, minimum: int, maximum: int, *, trim: bool = False, **kwargs: Any) -> None:
        self._trim = trim
        self._allowed = f"a string of {minimum} to {maximum} characters"
        messages: Messages = {"required": f"Required: {self._allowed}.", "null": f"May not be null: {self._allowed}."}
        super().__init__(validate=Length(minimum, maximum, trimmed=trim), error_messages=messages, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"Must be {self._allowed}, not {name_type(value)}.")
        if found := UNSTORABLE.search(value):
            raise ValidationError(f"Has U+{ord(found[0]):04X}, which is not a character that can be stored.")
        return value.strip() if self._trim else value


class Length(validate.Length):
    """marshmallow's rule, from which the document takes the bounds, with a message that says how long the text is."""

    def __init__(self, minimum: int, maximum: int, *, trimmed: bool) -> None:
        super().__init__(min=minimum, max=maximum)
        self._lengths = range(minimum, maximum + 1)
        self._allowed = f"Must have {minimum} to {maximum} characters" + (" after trimming" if trimmed else "")

    def __call__(self, value: Any) -> Any:
        if len(value) not in self._lengths:
            raise ValidationError(f"{self._allowed}, not {len(value)}.")
        return value


class StrictBoolean(fields.Boolean):
    """JSON's true and false; not 1, "yes" or any other value that stands for them elsewhere."""

    def __init__(self, **kwargs: Any) -> None:
        messages: Messages = {"required": "Required: true or false.", "null": "May not be null: true or false."}
        super().__init__(error_messages=messages, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(f"Must be true or false, not {name_type(value)}.")
        return value


class Choice(fields.String):
    """One of a few strings, and the value that each stands for: itself unless ``values`` says another."""

    def __init__(self, *allowed: str, values: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self._values = values or {name: name for name in allowed}
        nothing = [None] if kwargs.get("allow_none") else []
        super().__init__(metadata={"enum": [*self._values, *nothing]}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or value not in self._values:
            raise ValidationError(f"Must be one of {', '.join(self._values)}.")
        return self._values[value]


class WholeNumber(fields.Integer):
    """A number in a query, in plain digits."""

    def __init__(self, minimum: int, maximum: int, **kwargs: Any) -> None:
        self._numbers = range(minimum, maximum + 1)
        super().__init__(metadata={"minimum": minimum, "maximum": maximum}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) not in self._numbers:
            raise ValidationError(f"Must be a whole number from {self._numbers[0]} to {self._numbers[-1]}.")
        return int(value)


def name_type(value: Any) -> str:
    """Return JSON's name for the type of a value that came in."""
    return JSON_NAMES.get(type(value), "null")

"""Schema fields for JSON and queries. Their messages name the allowed values."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields

from todo.database.statements import UNSTORABLE

JSON_NAMES = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
Messages = dict[str, str | list[Any] | dict[Any, Any]]

# For the OpenAPI document; short, because tools show them. Valid JSON text has no surrogates (RFC 8259 section 8.2).
STORABLE = r"^[^\x00]*$"
NOT_BLANK = r"^[^\x00]*[^\s\x00][^\x00]*$"


class Text(fields.String):
    """A JSON string with a length in code points, without the characters that PostgreSQL cannot store."""

    def __init__(self, minimum: int, maximum: int, *, trim: bool = False, **kwargs: Any) -> None:
        self._trim = trim
        self._lengths = range(minimum, maximum + 1)
        self._allowed = f"a string of {minimum} to {maximum} characters"
        messages: Messages = {"required": f"Required: {self._allowed}.", "null": f"May not be null: {self._allowed}."}
        bounds = {"minLength": minimum, "maxLength": maximum, "pattern": NOT_BLANK if trim else STORABLE}
        super().__init__(error_messages=messages, metadata=bounds, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"Must be {self._allowed}, not {name_type(value)}.")
        if found := UNSTORABLE.search(value):
            raise ValidationError(f"Has U+{ord(found[0]):04X}, which is not a character that can be stored.")
        text = value.strip() if self._trim else value
        if len(text) not in self._lengths:
            counted = "characters after trimming" if self._trim else "characters"
            allowed = f"{self._lengths[0]} to {self._lengths[-1]} {counted}"
            raise ValidationError(f"Must have {allowed}, not {len(text)}.")
        return text


class StrictBoolean(fields.Boolean):
    """JSON's true and false, and no value that means the same elsewhere."""

    def __init__(self, **kwargs: Any) -> None:
        messages: Messages = {"required": "Required: true or false.", "null": "May not be null: true or false."}
        super().__init__(error_messages=messages, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(f"Must be true or false, not {name_type(value)}.")
        return value


class Moment(fields.AwareDateTime):
    """A timestamp with an offset, in the years 1 to 9999 in UTC: responses have it in UTC."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        try:
            return super()._deserialize(value, *args, **kwargs).astimezone(UTC)
        except OverflowError:
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from None


class Choice(fields.String):
    """One of a few strings, or the value that ``values`` gives it."""

    def __init__(self, *allowed: str, values: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self._values = values or {name: name for name in allowed}
        described = {"type": "boolean"} if self._values.keys() == {"true", "false"} else {"enum": [*self._values]}
        super().__init__(metadata=described, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or value not in self._values:
            raise ValidationError(f"Must be one of {', '.join(self._values)}.")
        return self._values[value]


class WholeNumber(fields.Integer):
    """A number in a query, as digits."""

    def __init__(self, minimum: int, maximum: int, **kwargs: Any) -> None:
        self._numbers = range(minimum, maximum + 1)
        super().__init__(metadata={"minimum": minimum, "maximum": maximum}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) not in self._numbers:
            raise ValidationError(f"Must be a whole number from {self._numbers[0]} to {self._numbers[-1]}.")
        return int(value)


def name_type(value: Any) -> str:
    """Return JSON's name for the type of a value."""
    return JSON_NAMES.get(type(value), "null")

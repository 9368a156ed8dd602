"""Schema fields for JSON and queries. Their messages name the allowed values."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
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
# A character that can be seen. Others are white space, control and format characters, Unicode's other
# Default_Ignorable_Code_Point (UAX #44), and the empty Braille pattern.
VISIBLE = re.compile(
    "[^\\s\0-\x20\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
UID_FORM = "Must be a UUID, such as 0b7f3f0c-8a53-4a6e-9d3f-5f0c6b3e1d2a."


class Text(fields.String):
    """A JSON string with a length in code points, without the characters that PostgreSQL cannot store.

    If ``trim`` is true, white space at both ends is removed, and the text needs a visible character.
    """

    def __init__(self, minimum: int, maximum: int, *, trim: bool = False, **kwargs: Any) -> None:
        self._trim = trim
        self._lengths = range(minimum, maximum + 1)
        nothing = " or null" if kwargs.get("allow_none") else ""
        self._allowed = f"a string of {minimum} to {maximum} characters{nothing}"
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
        if self._trim and not VISIBLE.search(text):
            raise ValidationError("Must have a character that can be seen.")
        return text


class EmptyIsNull(fields.Field[Any]):
    """A field for which an empty string means null, because HTML forms send that."""

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super().deserialize(None if value == "" else value, *args, **kwargs)


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
    """One of a few words, in upper or lower case, or the value that ``values`` gives it.

    ``synonyms`` are other words for the same values. They lose nothing, and frontends send them.
    """

    def __init__(
        self,
        *allowed: str,
        values: Mapping[str, Any] | None = None,
        synonyms: Mapping[str, Any] = MappingProxyType({}),
        **kwargs: Any,
    ) -> None:
        values = values or {name: name for name in allowed}
        described = {"type": "boolean"} if values.keys() == {"true", "false"} else {"enum": [*values]}
        self._allowed = ", ".join(values) + (", or null" if kwargs.get("allow_none") else "")
        self._values = {**values, **synonyms}
        messages: Messages = dict.fromkeys(("null", "required"), f"Must be one of {self._allowed}.")
        super().__init__(error_messages=messages, metadata={**described, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        word = value.lower() if isinstance(value, str) else None
        if word not in self._values:
            raise ValidationError(f"Must be one of {self._allowed}.")
        return self._values[word]


class Uid(fields.UUID):
    """A UUID (RFC 9562 section 4), in upper or lower case. It loads to text in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(error_messages={"invalid_uuid": UID_FORM, "null": UID_FORM}, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not (isinstance(value, str) and UID.fullmatch(value)):
            raise self.make_error("invalid_uuid")
        return value.lower()


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

"""What a task looks like from outside, and what a client may send. Messages name what is allowed."""

import re
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

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
    """marshmallow's rule, with a message that says how long the text is."""

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


def name_type(value: Any) -> str:
    """Return JSON's name for the type of a value that came in."""
    return JSON_NAMES.get(type(value), "null")


TITLE = {"description": "White space around it is taken off, and does not count."}


class IncomingSchema(Schema):
    """Clients send whole tasks back: members that are unknown, or the server's to set, are ignored."""

    class Meta:
        unknown = EXCLUDE


class NewTaskSchema(IncomingSchema):
    """A task to create."""

    title = Text(1, 200, trim=True, required=True, metadata=TITLE)
    description = Text(0, 1000, allow_none=True)
    completed = StrictBoolean()


class TaskChangesSchema(NewTaskSchema):
    """The members of a task to change; those not sent stay as they are, null clears a description."""

    title = Text(1, 200, trim=True, metadata=TITLE)


class CompletionSchema(IncomingSchema):
    """What a task's completion shall be; without it, the other of what it is."""

    completed = StrictBoolean()


class TaskSchema(Schema):
    """A task as it is answered. Documents and tests; rows go to JSON without passing through it."""

    class Meta:
        unknown = "raise"

    id = fields.Integer(required=True, strict=True, metadata={"format": "int64"})
    user_id = fields.String(required=True)
    title = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    completed = StrictBoolean(required=True)
    completed_at = fields.AwareDateTime(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    updated_at = fields.AwareDateTime(required=True)

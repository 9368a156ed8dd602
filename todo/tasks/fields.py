"""The kinds of value that only tasks have: tags, due dates, and what is asked of them in a query."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from marshmallow import ValidationError, fields

from todo.database.folding import fold
from todo.tasks.due import Due, read_date, read_due
from todo.web.fields import Text, name_type

# In characters. The models and the migrations have these numbers in their rules.
MAX_TITLE = 200
MAX_DESCRIPTION = 1000
MAX_TAGS = 20
MAX_TAG_LENGTH = 50
PRIORITIES = ("low", "medium", "high")


class Tags(fields.List[Any]):
    """Tags in the order they came, no two the same but for case; null means none."""

    def __init__(self, **kwargs: Any) -> None:
        described = {"maxItems": MAX_TAGS, "uniqueItems": True}  # That case is ignored, no keyword says.
        super().__init__(Text(1, MAX_TAG_LENGTH, trim=True), allow_none=True, metadata=described, **kwargs)

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super().deserialize([] if value is None else value, *args, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"Must be an array of strings, not {name_type(value)}.")
        if len(value) > MAX_TAGS:
            raise ValidationError(f"Must have at most {MAX_TAGS} tags, not {len(value)}.")
        seen: dict[str, str] = {}
        for number, item in enumerate(value, 1):
            try:
                tag = self.inner.deserialize(item)
            except ValidationError as error:
                raise ValidationError([f"Tag {number}: {message}" for message in error.messages]) from None
            if fold(tag) in seen:
                raise ValidationError(f"Tag {number} is a duplicate of an earlier tag; case is ignored.")
            seen[fold(tag)] = tag
        return list(seen.values())


class DueDate(fields.Field[Due]):
    """A whole day or an instant."""

    def __init__(self, **kwargs: Any) -> None:
        kinds = [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]
        super().__init__(
            metadata={"anyOf": [*kinds, *([{"type": "null"}] if kwargs.get("allow_none") else [])]}, **kwargs
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Due:
        if not isinstance(value, str):
            raise ValidationError(f"Must be a string, a date or a date-time, not {name_type(value)}.")
        try:
            return read_due(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class DayLimit(fields.Field[datetime]):
    """A day in a query, taken to a moment at one end of it."""

    def __init__(self, take: Callable[[date], datetime], **kwargs: Any) -> None:
        self._take = take
        super().__init__(metadata={"type": "string", "format": "date"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return self._take(read_date(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None


class NoOffset(fields.Field[int]):
    """Where a list begins, for clients that always say: at 0. What follows is not counted off, but found by cursor."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"type": "integer", "enum": [0]}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if value != "0":
            raise ValidationError("Must be 0: to go on, follow the Link header's next page, which has a cursor.")
        return 0


class TagFilter(fields.List[Any]):
    """Tags that a task must all have, as they compare."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Text(1, MAX_TAG_LENGTH, trim=True), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        return sorted({fold(self.inner.deserialize(item)) for item in value})


class Words(fields.Field[list[str]]):
    """Words that a task must all have, as they compare; one that is part of another goes without saying."""

    def __init__(self, maximum: int, **kwargs: Any) -> None:
        self._text = Text(0, maximum)
        super().__init__(metadata={"type": "string", **self._text.metadata}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        words: list[str] = []
        for word in sorted(set(fold(self._text.deserialize(value)).split()), key=lambda word: (-len(word), word)):
            if not any(word in longer for longer in words):
                words.append(word)
        return words

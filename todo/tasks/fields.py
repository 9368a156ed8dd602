"""Schema fields that only tasks have: tags, due dates, and filters of the list."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from marshmallow import ValidationError, fields

from todo.database.folding import fold
from todo.tasks.due import Due, read_date, read_due
from todo.web.fields import Text, name_type

# In characters. The constraints of the model have the same numbers.
MAX_TITLE = 200
MAX_DESCRIPTION = 1000
MAX_TAGS = 20
MAX_TAG_LENGTH = 50
PRIORITIES = ("low", "medium", "high")


class Tags(fields.List[Any]):
    """Tags in the order of the request, unique when case is ignored; null means no tags."""

    def __init__(self, **kwargs: Any) -> None:
        # Not uniqueItems: generators would make it a set, which has no order.
        super().__init__(Text(1, MAX_TAG_LENGTH, trim=True), allow_none=True, metadata={"maxItems": MAX_TAGS}, **kwargs)

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
        # One string without a format: a union of two becomes an empty class, or loses the time, in many generators.
        described = {"type": "string", "examples": ["2026-12-31", "2026-12-31T12:00:00.000000Z"]}
        super().__init__(metadata=described, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Due:
        if not isinstance(value, str):
            raise ValidationError(f"Must be a string, a date or a date-time, not {name_type(value)}.")
        try:
            return read_due(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class DayLimit(fields.Field[datetime]):
    """A day in a query, as its first or last moment."""

    def __init__(self, take: Callable[[date], datetime], **kwargs: Any) -> None:
        self._take = take
        super().__init__(metadata={"type": "string", "format": "date"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return self._take(read_date(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None


class NoOffset(fields.Field[int]):
    """An offset of 0, for clients that always send one. Further pages are found by cursor."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"undocumented": True}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if value != "0":
            raise ValidationError("Must be 0: to go on, follow the Link header's next page, which has a cursor.")
        return 0


class TagFilter(fields.List[Any]):
    """Folded tags, all of which a task must have."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Text(1, MAX_TAG_LENGTH, trim=True), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        return sorted({fold(self.inner.deserialize(item)) for item in value})


class Words(fields.Field[list[str]]):
    """Folded words, all of which a task must contain. A word inside another word is left out."""

    def __init__(self, maximum: int, **kwargs: Any) -> None:
        self._text = Text(0, maximum)
        super().__init__(metadata={"type": "string", **self._text.metadata}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        words: list[str] = []
        for word in sorted(set(fold(self._text.deserialize(value)).split()), key=lambda word: (-len(word), word)):
            if not any(word in longer for longer in words):
                words.append(word)
        return words

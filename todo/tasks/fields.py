"""Schema fields that only tasks have: tags, due dates, and filters of the list."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from marshmallow import ValidationError, fields

from todo.database.folding import fold
from todo.tasks.due import DATE, Due, read_date, read_due, read_instant
from todo.web.fields import Choice, EmptyIsNull, Text, name_type

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
            raise ValidationError(f"Must be an array of strings, or null, not {name_type(value)}.")
        if len(value) > MAX_TAGS:
            raise ValidationError(f"Must have at most {MAX_TAGS} tags, not {len(value)}.")
        seen: dict[str, str] = {}
        errors: list[str] = []
        for number, item in enumerate(value, 1):
            try:
                tag = self.inner.deserialize(item)
            except ValidationError as error:
                errors += [f"Tag {number}: {message}" for message in error.messages]
                continue
            if fold(tag) in seen:
                errors.append(f"Tag {number} is a duplicate of an earlier tag; case is ignored.")
            seen[fold(tag)] = tag
        if errors:
            raise ValidationError(errors)
        return list(seen.values())


class Reminder(EmptyIsNull, fields.Field[datetime]):
    """An instant; null or an empty string for none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"type": "string", "format": "date-time"}, allow_none=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str):
            raise ValidationError(f"Must be a string, a date-time, or null, not {name_type(value)}.")
        try:
            return read_instant(value, "a date-time like 2026-12-31T17:00:00+05:00, or null")
        except ValueError as error:
            raise ValidationError(str(error)) from None


class DueDate(EmptyIsNull, fields.Field[Due]):
    """A whole day or an instant; null or an empty string for none, because HTML forms send that."""

    def __init__(self, **kwargs: Any) -> None:
        # One string without a format: a union of two becomes an empty class, or loses the time, in many generators.
        described = {"type": "string", "examples": ["2026-12-31", "2026-12-31T12:00:00.000000Z"]}
        super().__init__(metadata=described, allow_none=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Due:
        if not isinstance(value, str):
            raise ValidationError(f"Must be a string, a date or a date-time, or null, not {name_type(value)}.")
        try:
            return read_due(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class DueLimit(fields.Field[date]):
    """A day or an instant in a query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"type": "string"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date:
        value = value.replace(" ", "+")  # A plus that is not percent-encoded is a space.
        try:
            return read_date(value) if DATE.fullmatch(value) else read_instant(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class Sorting(Choice):
    """An order in a query, with a direction or without: title, -title, title_asc, title_desc.

    It loads to the name of the order and its direction, which may be None. The first name is the default.
    """

    def __init__(self, *allowed: str, synonyms: Mapping[str, str], **kwargs: Any) -> None:
        values = {name: (name, None) for name in allowed}
        others: dict[str, tuple[str, str | None]] = {}
        for written, name in {**{name: name for name in allowed}, **synonyms}.items():
            others |= {written: (name, None), f"-{written}": (name, "desc")}
            others |= {f"{written}_asc": (name, "asc"), f"{written}_desc": (name, "desc")}
        for name in ("created", "updated"):
            others |= {f"{name}_newest": (name, "desc"), f"{name}_oldest": (name, "asc")}
        # A function, because the document has the default as clients write it.
        first = {"load_default": lambda: values[allowed[0]], "metadata": {"default": allowed[0]}}
        super().__init__(values=values, synonyms=others, **first, **kwargs)


class OnlyFirst(fields.Field[int]):
    """The number of the first page, or of the first task, for clients that always send it."""

    def __init__(self, first: int, **kwargs: Any) -> None:
        self._first = first
        super().__init__(metadata={"undocumented": True}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if value != str(self._first):
            raise ValidationError(
                f"Must be {self._first}: to go on, follow the Link header's next page, which has a cursor."
            )
        return self._first


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

"""What an operation takes and answers, declared once: the same schemas validate and document.

    @tasks.post("")
    @endpoint(body=NewTaskSchema(), responses={201: TaskSchema()})
    def create_task(new: dict[str, Any]) -> Response: …

Bodies are read as bodies.py says, queries as read_query does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from types import MappingProxyType
from typing import Any

from flask import Response, request
from marshmallow import Schema, ValidationError, fields

from todo.web.bodies import read_body
from todo.web.urls import split_query

# In bytes: who asks for more than people do shall not fill the memory.
LONGEST_RECALLED = 500


@dataclass(frozen=True)
class Declaration:
    """What an operation takes, if anything, and what it answers if all is well, by status."""

    query: Schema | None
    body: Schema | None
    reads: Sequence[str]
    responses: Mapping[int, Schema | None]
    sends: Sequence[str]


@dataclass(frozen=True)
class Aliases:
    """Other names for a query's parameters, and for values of theirs; a schema has its own as ``aliases``."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def endpoint(
    *,
    query: Schema | None = None,
    body: Schema | None = None,
    reads: Sequence[str] = (),
    responses: Mapping[int, Schema | None],
    sends: Sequence[str] = (),
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Declare a view. Its first arguments are the ``query`` and the ``body``, if declared, as the schemas load them.

    ``reads`` are the headers of a request that it looks at by itself, ``sends`` those of an answer that it sets.
    """
    loaders = [partial(load_query, query)] if query else []
    loaders += [partial(load_body, body)] if body else []

    def declare(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Response:
            return view(*(load() for load in loaders), *args, **kwargs)

        run.declaration = Declaration(query, body, reads, responses, sends)  # type: ignore[attr-defined]
        return run

    return declare


def load_body(schema: Schema) -> Any:
    """Return the body as the schema loads it; raises ValidationError, and what read_body raises."""
    return schema.load(read_body())


def load_query(schema: Schema) -> Any:
    """Return the query's parameters as the schema loads them; raises ValidationError."""
    query = request.query_string
    return recall_query(schema, query) if len(query) <= LONGEST_RECALLED else read_query(schema, query)


def read_query(schema: Schema, query: bytes) -> Any:
    """Return a query's parameters as the schema loads them; raises ValidationError.

    A parameter that the schema does not have is refused, and so is one that is given twice unless it is a list:
    a typo must not be a silently wrong answer.
    """
    aliases: Aliases = getattr(schema, "aliases", Aliases())
    given: dict[str, list[str]] = {}
    for alias, text in split_query(query):
        name = aliases.parameters.get(alias, alias)
        given.setdefault(name, []).append(aliases.values.get(name, {}).get(text, text))
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for name, texts in given.items():
        kind = schema.fields.get(name)
        if kind is None:
            errors[name] = [f"Unknown parameter; allowed are {', '.join(schema.fields)}."]
        elif isinstance(kind, fields.List):
            values[name] = texts
        elif len(texts) > 1:
            errors[name] = [f"Given {len(texts)} times; once is allowed."]
        else:
            values[name] = texts[0]
    if errors:
        raise ValidationError(errors)
    return MappingProxyType(schema.load(values))


# People ask the same again and again.
recall_query = lru_cache(maxsize=1024)(read_query)

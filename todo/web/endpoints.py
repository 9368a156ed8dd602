"""Declarations of what an operation takes and returns: the same schemas validate requests and document them.

@tasks.post("")
@endpoint(body=NewTaskSchema(), responses={201: TaskSchema()})
def create_task(new: dict[str, Any]) -> Response: …
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from itertools import islice
from typing import Any, TypeVar

from flask import Response, request
from marshmallow import Schema, ValidationError

from config import Settings
from todo.errors import DomainError
from todo.extensions import current_settings
from todo.web.bodies import MAX_BODY_BYTES, NO_OBJECT, MalformedBody, read_body
from todo.web.parameters import MAX_ERRORS, list_documented, load_query


@dataclass(frozen=True)
class File:
    """A response that is a text of this media type, with an example."""

    media_type: str
    example: str


# By status; None where a response has no body.
Responses = Mapping[int, Schema | File | None]

NO_PARAMETERS = Schema()

T = TypeVar("T")


@dataclass(frozen=True)
class Declaration:
    """What an operation takes and returns in a service with certain settings; see ``endpoint``."""

    query: Schema | None
    body: Schema | None
    max_bytes: int
    reads: Sequence[str]
    responses: Responses
    sends: Sequence[str]
    refuses: Sequence[type[DomainError]]


def endpoint(
    *,
    query: Schema | None = None,
    body: Schema | Callable[[Settings], Schema] | None = None,
    max_bytes: int = MAX_BODY_BYTES,
    reads: Sequence[str] = (),
    responses: Responses | Callable[[Settings], Responses],
    sends: Sequence[str] = (),
    refuses: Sequence[type[DomainError]] = (),
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Declare a view. Its first arguments are the loaded ``query`` and ``body``, if they are declared.

    Without ``query``, any parameter is refused. A body may have ``max_bytes``. ``reads`` names the request headers that
    the view reads, ``sends`` the response headers that it sets, ``refuses`` the errors that only some operations have.
    ``body`` and ``responses`` depend on the settings if they are functions.
    """
    documented = query if query and list_documented(query) else None
    loaders = [partial(load_query, query)] if query else []
    loaders += [partial(load_body, body, max_bytes)] if body else []

    def declare(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Response:
            if query is None and request.query_string:
                load_query(NO_PARAMETERS)
            return view(*(load() for load in loaders), *args, **kwargs)

        run.declare = lambda settings: Declaration(  # type: ignore[attr-defined]
            documented, resolve(body, settings), max_bytes, reads, resolve(responses, settings), sends, refuses
        )
        return run

    return declare


def resolve(declared: T | Callable[[Settings], T], settings: Settings) -> T:
    """Return what is declared for a service with these settings."""
    return declared(settings) if callable(declared) else declared


def load_body(declared: Schema | Callable[[Settings], Schema], max_bytes: int) -> Any:
    """Return the body as the schema loads it; raises ValidationError, and what read_body raises."""
    schema, body = resolve(declared, current_settings()), read_body(max_bytes)
    if getattr(schema, "optional", False) and body in ({}, None, ""):
        return {}
    if not isinstance(body, dict):
        raise MalformedBody(NO_OBJECT)
    return load_known(schema, body)


def load_known(schema: Schema, given: Any) -> Any:
    """Return an object as the schema loads it; raises ValidationError.

    An object that has members, but none that the schema knows, is refused: otherwise a misspelled name would be lost.
    """
    loaded = schema.load(given)
    if given and not loaded:
        message = f"Cannot be set here; fields that can: {', '.join(schema.fields)}."
        raise ValidationError({name: [message] for name in islice(given, MAX_ERRORS)})
    return loaded

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
from todo.web.bodies import NO_OBJECT, MalformedBody, read_body
from todo.web.parameters import MAX_ERRORS, list_documented, load_query

# By status; None where a response has no body.
Responses = Mapping[int, Schema | None]

NO_PARAMETERS = Schema()

T = TypeVar("T")


@dataclass(frozen=True)
class Declaration:
    """What an operation takes and returns in a service with certain settings; see ``endpoint``."""

    query: Schema | None
    body: Schema | None
    reads: Sequence[str]
    responses: Responses
    sends: Sequence[str]
    refuses: Sequence[type[DomainError]]


def endpoint(
    *,
    query: Schema | None = None,
    body: Schema | Callable[[Settings], Schema] | None = None,
    reads: Sequence[str] = (),
    responses: Responses | Callable[[Settings], Responses],
    sends: Sequence[str] = (),
    refuses: Sequence[type[DomainError]] = (),
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Declare a view. Its first arguments are the loaded ``query`` and ``body``, if they are declared.

    Without ``query``, any parameter is refused. ``reads`` names the request headers that the view reads, ``sends`` the
    response headers that it sets, ``refuses`` the errors that only some operations have. ``body`` and ``responses``
    depend on the settings if they are functions.
    """
    documented = query if query and list_documented(query) else None
    loaders = [partial(load_query, query)] if query else []
    loaders += [partial(load_body, body)] if body else []

    def declare(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Response:
            if query is None and request.query_string:
                load_query(NO_PARAMETERS)
            return view(*(load() for load in loaders), *args, **kwargs)

        run.declare = lambda settings: Declaration(  # type: ignore[attr-defined]
            documented, resolve(body, settings), reads, resolve(responses, settings), sends, refuses
        )
        return run

    return declare


def resolve(declared: T | Callable[[Settings], T], settings: Settings) -> T:
    """Return what is declared for a service with these settings."""
    return declared(settings) if callable(declared) else declared


def load_body(declared: Schema | Callable[[Settings], Schema]) -> Any:
    """Return the body as the schema loads it; raises ValidationError, and what read_body raises.

    A body that has members, but none that the schema knows, is refused: otherwise a misspelled name would be lost.
    """
    schema, body = resolve(declared, current_settings()), read_body()
    if getattr(schema, "optional", False) and body in ({}, None, ""):
        return {}
    if not isinstance(body, dict):
        raise MalformedBody(NO_OBJECT)
    loaded = schema.load(body)
    if body and not loaded:
        message = f"Cannot be set here; fields that can: {', '.join(schema.fields)}."
        raise ValidationError({name: [message] for name in islice(body, MAX_ERRORS)})
    return loaded

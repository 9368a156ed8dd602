"""Declarations of what an operation takes and returns: the same schemas validate requests and document them.

@tasks.post("")
@endpoint(body=NewTaskSchema(), responses={201: TaskSchema()})
def create_task(new: dict[str, Any]) -> Response: …
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from flask import Response
from marshmallow import Schema

from config import Settings
from todo.web.bodies import read_body
from todo.web.parameters import load_query

# By status; None where a response has no body.
Responses = Mapping[int, Schema | None]


@dataclass(frozen=True)
class Declaration:
    """What an operation takes and returns; see ``endpoint``."""

    query: Schema | None
    body: Schema | None
    reads: Sequence[str]
    responses: Responses | Callable[[Settings], Responses]
    sends: Sequence[str]

    def list_responses(self, settings: Settings) -> Responses:
        """Return the responses of a service with these settings."""
        return self.responses(settings) if callable(self.responses) else self.responses


def endpoint(
    *,
    query: Schema | None = None,
    body: Schema | None = None,
    reads: Sequence[str] = (),
    responses: Responses | Callable[[Settings], Responses],
    sends: Sequence[str] = (),
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Declare a view. Its first arguments are the loaded ``query`` and ``body``, if they are declared.

    ``reads`` names the request headers that the view reads, ``sends`` the response headers that it sets. ``responses``
    depends on the settings if it is a function.
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

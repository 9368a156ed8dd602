"""What an operation takes and answers, declared once: the same schemas validate and document.

    @tasks.post("")
    @endpoint(takes=NewTask(), answers={201: TaskShape()})
    def create_task(new: dict[str, Any]) -> Response: …

The body's rules are the contract's, in one place: an empty body is no body, whatever its media type
says; one that is there must be JSON, an object, and of bounded size.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import orjson
from flask import Response, request
from marshmallow import Schema
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

MAX_BODY_BYTES = 64 * 1024
JSON_OPTIONS = orjson.OPT_UTC_Z


@dataclass(frozen=True)
class Declaration:
    """What an operation takes as its body, if anything, and what it answers by status."""

    takes: Schema | None
    answers: Mapping[int, Schema | None]


def endpoint(
    *, takes: Schema | None = None, answers: Mapping[int, Schema | None]
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Declare a view. With ``takes``, the view's first argument is the body as that schema loads it."""

    def declare(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def run(*args: Any, **kwargs: Any) -> Response:
            return view(*args, **kwargs) if takes is None else view(takes.load(read_body()), *args, **kwargs)

        run.declaration = Declaration(takes, answers)  # type: ignore[attr-defined]
        return run

    return declare


def reply(data: Any, status: int = 200) -> Response:
    """JSON, with every time in UTC as RFC 3339 writes it."""
    return Response(orjson.dumps(data, option=JSON_OPTIONS), status, content_type="application/json")


def accepted_media_types(method: str) -> tuple[str, ...]:
    """What a body may be declared as: a merge patch (RFC 7396) is what PATCH takes anyway."""
    return ("application/json", "application/merge-patch+json") if method == "PATCH" else ("application/json",)


def read_body() -> dict[str, Any]:
    """The request's JSON object, ``{}`` if there is no body; raises the 4xx that says what is wrong with it."""
    body = _read_bytes()
    if not body:
        return {}
    accepted = accepted_media_types(request.method)
    if request.mimetype not in accepted:
        raise UnsupportedMediaType(f"Send the body as Content-Type: {' or '.join(accepted)}.")
    try:
        document = json.loads(body.decode(), parse_constant=_refuse_constant, parse_int=_parse_int)
    except RecursionError:
        raise BadRequest("The body is JSON nested too deeply.") from None
    except ValueError as error:
        # Only the parser's own messages: a decoder's would quote bytes.
        where = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadRequest(f"The body is not valid JSON{where}.") from None
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object.")
    return document


def _read_bytes() -> bytes:
    """At most one byte more than is allowed, so that a chunked body is refused too, not cut short."""
    too_large = RequestEntityTooLarge(f"The body may have at most {MAX_BODY_BYTES} bytes.")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large
    chunks, size = [], 0
    while size <= MAX_BODY_BYTES and (chunk := request.stream.read(MAX_BODY_BYTES + 1 - size)):
        chunks.append(chunk)
        size += len(chunk)
    if size > MAX_BODY_BYTES:
        raise too_large
    return b"".join(chunks)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_int(digits: str) -> int | float:
    """JSON's numbers have no largest; Python's int() refuses to read thousands of digits."""
    return int(digits) if len(digits) < 20 else float(digits)

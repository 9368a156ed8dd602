"""What an operation takes and answers, declared once: the same schemas validate and document.

    @tasks.post("")
    @endpoint(body=NewTaskSchema(), responses={201: TaskSchema()})
    def create_task(new: dict[str, Any]) -> Response: …

The body's rules are the contract's, in one place: an empty body is no body, whatever its media type
says; one that is there must be JSON, an object, and of bounded size.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson
from flask import Response, request
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import Headers
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

MAX_BODY_BYTES = 64 * 1024
TOO_LARGE = f"The body may have at most {MAX_BODY_BYTES} bytes."
# What X-Forwarded-Host and -Prefix may be: anybody can send them.
HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
# In bytes: who asks for more than people do shall not fill the memory.
LONGEST_RECALLED = 500
JSON_OPTIONS = orjson.OPT_UTC_Z
WITHOUT_BODY = {204, 304}


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


def split_query(query: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query in their order, whatever bytes it has."""
    return parse_qsl(query.decode(errors="replace"), keep_blank_values=True, errors="werkzeug.url_quote")


class Answer(Response):
    """A response whose headers are complete; Werkzeug's would be copied, and looked through again."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        if self.status_code not in WITHOUT_BODY:
            self.headers["Content-Length"] = str(self.calculate_content_length())
        return self.headers


def reply(data: Any, status: int = 200) -> Response:
    """Answer JSON, with every time in UTC as RFC 3339 writes it."""
    return Answer(orjson.dumps(data, option=JSON_OPTIONS), status, content_type="application/json")


def empty_response(status: int) -> Response:
    """Answer without a body, and so without a Content-Type."""
    response = Answer(status=status)
    del response.headers["Content-Type"]
    return response


def build_prefix() -> str:
    """Return what is before this service's paths as the client knows them: what a proxy takes off."""
    prefix = request.script_root
    return prefix if PREFIX.fullmatch(prefix) else ""


def build_url(**changes: str) -> str:
    """Return this request's complete URL with other values for some of the query's parameters.

    Without its origin if what the request says of that cannot be: every client knows where it asked.
    """
    query = [(name, value) for name, value in split_query(request.query_string) if name not in changes]
    known = request.scheme in {"http", "https"} and HOST.fullmatch(request.host)
    origin = f"{request.scheme}://{request.host}" if known else ""
    path = quote(request.path, safe="/:@!$&'()*+,;=~")
    return f"{origin}{build_prefix()}{path}?{urlencode([*query, *changes.items()])}"


def accepted_media_types(method: str) -> tuple[str, ...]:
    """Return what a body may be declared as: a merge patch (RFC 7396) is what PATCH takes anyway."""
    return ("application/json", "application/merge-patch+json") if method == "PATCH" else ("application/json",)


def read_body() -> dict[str, Any]:
    """Return the request's JSON object, ``{}`` if there is no body; raises the 4xx that says what is wrong with it."""
    body = _read_bytes()
    if not body:
        return {}
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        coding = request.headers.get(name, plain)
        if coding.lower() != plain:
            raise UnsupportedMediaType(f"Send the body as it is, not in {name} {coding}.")
    accepted = accepted_media_types(request.method)
    if request.mimetype not in accepted:
        raise UnsupportedMediaType(f"Send the body as Content-Type: {' or '.join(accepted)}.")
    try:
        document = DECODER.decode(body.decode())
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
    """Read the whole body, or refuse it: one cut short by a lost connection could mean something else."""
    announced, stream = request.content_length, request.stream
    body = b""
    # One byte more than is allowed, so that a chunked body is not cut short either.
    while max(announced or 0, len(body)) <= MAX_BODY_BYTES:
        try:
            chunk = stream.read(MAX_BODY_BYTES + 1 - len(body))
        except Exception as error:  # The server's own: a connection lost, a chunk that is none.
            raise BadRequest("The body could not be read to its end.") from error
        if not chunk:
            break
        body += chunk
    else:
        raise RequestEntityTooLarge(TOO_LARGE)
    if announced is not None and len(body) < announced:
        raise BadRequest("The body is shorter than its Content-Length.")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_int(digits: str) -> int | float:
    """JSON's numbers have no largest; Python's int() refuses to read thousands of digits."""
    return int(digits) if len(digits) < 20 else float(digits)


DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_parse_int)

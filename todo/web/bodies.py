"""The body of a request: a JSON object of limited size. An empty body counts as no body, with any media type."""

import json
from codecs import BOM_UTF8
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

# Of most operations.
MAX_BODY_BYTES = 64 * 1024
NOT_UTF_8 = "The body is not text in UTF-8, which JSON has to be."
NO_OBJECT = "The body must be a JSON object."
TOO_LARGE = "The body may have at most {limit} bytes."


class MalformedBody(BadRequest):
    problem_code = "malformed_body"


def accepted_media_types(method: str) -> tuple[str, ...]:
    """Return the media types of a body. PATCH works as a merge patch (RFC 7396), so it accepts that type too."""
    return ("application/json", "application/merge-patch+json") if method == "PATCH" else ("application/json",)


def read_body(limit: int) -> Any:
    """Return the JSON value of the request, ``{}`` without a body; raises the HTTPException of an invalid one.

    ``limit`` is the largest size, in bytes.
    A byte order mark is skipped (RFC 8259 section 8.1).
    """
    body = _read_bytes(limit).removeprefix(BOM_UTF8)
    if not body:
        return {}
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        coding = request.headers.get(name) or plain
        if coding.lower() != plain:
            raise UnsupportedMediaType(f"Send the body as it is, not in {name} {coding}.")
    accepted = accepted_media_types(request.method)
    if request.mimetype not in accepted:
        raise UnsupportedMediaType(f"Send the body as Content-Type: {' or '.join(accepted)}.")
    try:
        if b"\0" in body:  # JSON text has none; the encodings with wider characters do.
            raise MalformedBody(NOT_UTF_8)
        return DECODER.decode(body.decode())
    except RecursionError:
        raise MalformedBody("The body is JSON nested too deeply.") from None
    except UnicodeDecodeError:
        raise MalformedBody(NOT_UTF_8) from None
    except ValueError as error:
        where = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise MalformedBody(f"The body is not valid JSON{where}.") from None


def _read_bytes(limit: int) -> bytes:
    """Read the whole body, or refuse it: an incomplete body could mean something else."""
    announced, stream = request.content_length, request.stream
    body = b""
    # One byte more than allowed, so that a chunked body is refused too, not truncated.
    while max(announced or 0, len(body)) <= limit:
        try:
            chunk = stream.read(limit + 1 - len(body))
        except Exception as error:  # gunicorn's errors: a lost connection, an invalid chunk.
            raise MalformedBody("The body could not be read to its end.") from error
        if not chunk:
            break
        body += chunk
    else:
        raise RequestEntityTooLarge(TOO_LARGE.format(limit=limit))
    if announced is not None and len(body) < announced:
        raise MalformedBody("The body is shorter than its Content-Length.")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_int(digits: str) -> int | float:
    """Read a number of any size: Python's int() refuses thousands of digits."""
    return int(digits) if len(digits) < 20 else float(digits)


DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_parse_int)

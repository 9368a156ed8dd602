"""The body of a request. Its rules are the contract's, in one place.

An empty body is no body, whatever its media type says; one that is there must be JSON, an object, and of bounded size.
"""

import json
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

MAX_BODY_BYTES = 64 * 1024
TOO_LARGE = f"The body may have at most {MAX_BODY_BYTES} bytes."


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

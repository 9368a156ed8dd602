"""Conditional requests (RFC 9110 section 13) and idempotency keys. The ETag of a resource is its version."""

import re
from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest

from todo.web.ids import is_id
from todo.web.responses import empty_response, reply

INVALID_KEY = "Idempotency-Key: must have 1 to 255 printable ASCII characters."


def read_if_match() -> list[int] | None:
    """Return the versions that If-Match allows; None for any (RFC 9110 section 13.1.1).

    A weak tag counts too: a proxy that compresses responses may have weakened it.
    """
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return None
    # Werkzeug returns None for an empty tag.
    return [int(tag) for tag in request.if_match.as_set(include_weak=True) if tag and is_id(tag)]


def reply_versioned(data: Any, version: int, status: int = 200) -> Response:
    """Return a response with an ETag (RFC 9110 section 8.8.3)."""
    response = reply(data, status)
    response.set_etag(str(version))
    return response


def reply_unless_known(data: Any, version: int) -> Response:
    """Return a response, or 304 if it matches If-None-Match (RFC 9110 section 13.1.2)."""
    if not request.if_none_match.contains_weak(str(version)):
        return reply_versioned(data, version)
    response = empty_response(304)
    response.set_etag(str(version))
    return response


def read_idempotency_key() -> str | None:
    """Return the Idempotency-Key, None without one; raises BadRequest if it is invalid."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[ -~]{1,255}", key):
        raise BadRequest(INVALID_KEY)
    return key

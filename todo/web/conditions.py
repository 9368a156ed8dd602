"""Conditional requests (RFC 9110 section 13) and idempotency keys."""

import re
from collections.abc import Mapping
from typing import Any

from flask import Response, request
from werkzeug.datastructures import ETags
from werkzeug.exceptions import BadRequest

from todo.database.changing import Versions
from todo.web.ids import is_id
from todo.web.responses import empty_response, reply

INVALID_KEY = "Idempotency-Key: must have 1 to 255 printable ASCII characters."
# The ID and the version of a resource (database/resource.py). Servers that compress responses add the name of the
# coding: "42.3-gzip" (Apache, Caddy), "42.3--gzip" (Jetty), "42.3;br" (LiteSpeed).
TAG = re.compile(r"([0-9]+)\.([0-9]+)(?:[-;]+[a-z]+;*)?")


class InvalidHeader(BadRequest):
    problem_code = "invalid_header"


def read_expected(row_id: int) -> Versions:
    """Return the versions that If-Match and If-None-Match allow (RFC 9110 section 13.1)."""
    tags, others = request.if_match, request.if_none_match
    is_any = "If-Match" not in request.headers or tags.star_tag
    return Versions(
        allowed=None if is_any else read_versions(tags, row_id),
        refused=None if others.star_tag else read_versions(others, row_id),
    )


def read_versions(tags: ETags, row_id: int) -> list[int]:
    """Return the versions of this row among the tags.

    A weak tag counts too: a proxy that compresses responses may have weakened it.
    """
    # Werkzeug returns None for an empty tag.
    found = [TAG.fullmatch(tag) for tag in tags.as_set(include_weak=True) if tag]
    return [int(tag[2]) for tag in found if tag and tag[1] == str(row_id) and is_id(tag[2])]


def reply_versioned(data: Mapping[str, Any], status: int = 200) -> Response:
    """Return a response with the ETag of the data."""
    response = reply(data, status)
    response.headers["ETag"] = data["etag"]
    return response


def reply_unless_known(data: Mapping[str, Any], row_id: int, version: int) -> Response:
    """Return a response, or 304 if it matches If-None-Match (RFC 9110 section 13.1.2)."""
    known = read_expected(row_id).refused
    if known is not None and version not in known:
        return reply_versioned(data)
    response = empty_response(304)
    response.headers["ETag"] = data["etag"]
    return response


def read_idempotency_key() -> str | None:
    """Return the Idempotency-Key, None without one; raises InvalidHeader if it is invalid."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[ -~]{1,255}", key):
        raise InvalidHeader(INVALID_KEY)
    return key

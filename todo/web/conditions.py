"""Conditional requests (RFC 9110 section 13) and idempotency keys."""

import re
from collections.abc import Mapping
from typing import Any

from flask import Response, request
from werkzeug.datastructures import ETags
from werkzeug.exceptions import BadRequest

from todo.database.versions import Versions
from todo.web.responses import empty_response, reply

INVALID_KEY = "Idempotency-Key: must have 1 to 255 printable ASCII characters."
# The ID and the version of a resource (database/resource.py). Servers that compress responses add the name of the
# coding: "42.3-gzip" (Apache, Caddy), "42.3--gzip" (Jetty), "42.3;br" (LiteSpeed). That of the calendar is hexadecimal.
TAG = re.compile(r"([0-9a-f]+\.[0-9]+)(?:[-;]+[a-z]+;*)?")


class InvalidHeader(BadRequest):
    problem_code = "invalid_header"


def read_expected() -> Versions:
    """Return the versions that If-Match and If-None-Match allow (RFC 9110 section 13.1)."""
    tags, others = request.if_match, request.if_none_match
    is_any = "If-Match" not in request.headers or tags.star_tag
    return Versions(
        allowed=None if is_any else read_versions(tags),
        refused=None if others.star_tag else read_versions(others),
        exists="If-Match" in request.headers,
    )


def read_versions(tags: ETags) -> list[str]:
    """Return the versions of the tags.

    A weak tag counts too: a proxy that compresses responses may have weakened it.
    """
    # Werkzeug returns None for an empty tag.
    found = [TAG.fullmatch(tag) for tag in tags.as_set(include_weak=True) if tag]
    return [tag[1] for tag in found if tag]


def reply_versioned(data: Mapping[str, Any], status: int = 200) -> Response:
    """Return a response with the ETag of the data."""
    response = reply(data, status)
    response.headers["ETag"] = data["etag"]
    return response


def reply_unless_known(data: Mapping[str, Any]) -> Response:
    """Return a response, or 304 if it matches If-None-Match (RFC 9110 section 13.1.2)."""
    known = read_expected().refused
    if known is not None and data["etag"].strip('"') not in known:
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

"""Cursors: where a page ended, in a text that clients pass back and need not understand.

A cursor has a checksum over its place and over what it is a place in, so one that was altered or is used with another
filter or order is found out. It gives no right: whoever makes one up sees nothing but their own.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import orjson
from werkzeug.exceptions import BadRequest

CHECKSUM_BYTES = 9


class InvalidCursor(BadRequest):
    """400: it is not a cursor, was altered, or belongs to another list."""

    description = "cursor: not valid here; it was altered, or made with other filters or another order."


def write_cursor(place: Sequence[Any], scope: Any) -> str:
    """Return the cursor of a place, whose parts JSON can hold, in the list that ``scope`` tells from others."""
    text = orjson.dumps(place)
    return encode(compute_checksum(text, scope) + text)


def read_cursor(cursor: str, scope: Any) -> list[Any]:
    """Return the place as JSON has it; raises InvalidCursor.

    Anyone can compute a checksum, so what the parts of the place are must be looked at.
    """
    try:
        content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        checksum, text = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
        place = orjson.loads(text)
    except ValueError:
        raise InvalidCursor from None
    # Decoding passes over what is no base64, so the cursor is compared too.
    if encode(content) != cursor or checksum != compute_checksum(text, scope) or not isinstance(place, list):
        raise InvalidCursor
    return place


def encode(content: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5): nothing in it needs escaping in a URL."""
    return urlsafe_b64encode(content).decode().rstrip("=")


def compute_checksum(text: bytes, scope: Any) -> bytes:
    """Return what ties a place to its list."""
    return sha256(orjson.dumps(scope, option=orjson.OPT_SORT_KEYS) + b"\n" + text).digest()[:CHECKSUM_BYTES]

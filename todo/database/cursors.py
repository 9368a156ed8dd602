"""Cursors: the place where a page ended, as opaque text.

A checksum covers the place and the list that it belongs to. So a cursor that was altered, or is used with another
filter or order, is refused. A cursor grants no access: a forged cursor shows its author only the author's own rows.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import orjson

from todo.errors import InvalidCursor

CHECKSUM_BYTES = 9


def write_cursor(place: Sequence[Any], scope: Any) -> str:
    """Return the cursor of a place, a list for JSON; ``scope`` describes the list that it belongs to."""
    text = orjson.dumps(place)
    return encode(compute_checksum(text, scope) + text)


def read_cursor(cursor: str, scope: Any) -> list[Any]:
    """Return the place; raises InvalidCursor. Anyone can compute a checksum, so the parts still need validation."""
    try:
        content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        checksum, text = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
        place = orjson.loads(text)
    except ValueError:
        raise InvalidCursor from None
    # Decoding ignores other characters, so the encoded text is compared too.
    if encode(content) != cursor or checksum != compute_checksum(text, scope) or not isinstance(place, list):
        raise InvalidCursor
    return place


def encode(content: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5), which needs no escaping in a URL."""
    return urlsafe_b64encode(content).decode().rstrip("=")


def compute_checksum(text: bytes, scope: Any) -> bytes:
    """Return the bytes that bind a place to its list."""
    return sha256(orjson.dumps(scope, option=orjson.OPT_SORT_KEYS) + b"\n" + text).digest()[:CHECKSUM_BYTES]

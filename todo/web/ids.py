"""IDs in paths and ETags."""

import re

from werkzeug.routing import BaseConverter

from todo.database.resource import MAX_ID, NO_ID


class IdConverter(BaseConverter):
    """An ID in a path. Invalid text becomes an ID that does not exist, so it gets the same 404 after authentication."""

    def to_python(self, value: str) -> int:
        return int(value) if is_id(value) else NO_ID


def is_id(text: str) -> bool:
    """Return whether a text can be an ID or a version, as the service writes them."""
    return re.fullmatch(r"[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID

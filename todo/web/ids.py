"""IDs and UIDs in paths."""

import re
from collections.abc import Sequence

from werkzeug.routing import BaseConverter

from todo.database.resource import MAX_ID, NO_ID
from todo.database.rows import RowName
from todo.web.fields import UID


class IdConverter(BaseConverter):
    """The name of a row in a path: its ID, or its UID in any case.

    Invalid text becomes an ID that does not exist. So the response is the usual 404, after authentication.
    """

    def to_python(self, value: str) -> RowName:
        if UID.fullmatch(value):
            return value.lower()
        return int(value) if is_id(value) else NO_ID


def make_converter(fixed: Sequence[str]) -> type[IdConverter]:
    """Return a converter that does not match fixed paths, so that a wrong method gets a 405 there."""
    names = "|".join(map(re.escape, fixed))
    return type(IdConverter.__name__, (IdConverter,), {"regex": f"(?!(?:{names})\\Z)[^/]+"})


def is_id(text: str) -> bool:
    """Return whether a text can be an ID as the service writes it."""
    return re.fullmatch(r"[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID

"""The schemas that any resource uses."""

from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, fields

from todo.web.fields import WholeNumber

# The largest page of a list.
MAX_LISTED = 1000


class IncomingSchema(Schema):
    """Unknown and read-only fields are ignored, so clients can send back a resource that they fetched.

    If the body is ``optional``, null and an empty string count as no body: some clients send them instead.
    """

    optional: ClassVar[bool] = False

    class Meta:
        unknown = EXCLUDE


class PageQuerySchema(Schema):
    """The parameters of a page."""

    about: ClassVar[dict[str, str]] = {
        "limit": "The largest number of tasks in the page.",
        "cursor": "Where the page begins: from the page before.",
    }
    aliases: ClassVar[dict[str, str]] = {"per_page": "limit", "page_size": "limit"}
    lenient = True
    refused: ClassVar[dict[str, Any]] = {"limit": "0"}

    limit = WholeNumber(1, MAX_LISTED, load_default=MAX_LISTED)
    cursor = fields.String(metadata={"pattern": "^[A-Za-z0-9_-]+$"})

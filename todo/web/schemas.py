"""The schemas that any resource uses."""

from typing import ClassVar

from marshmallow import EXCLUDE, Schema

# The largest page of a list.
MAX_LISTED = 1000


class IncomingSchema(Schema):
    """Unknown and read-only fields are ignored, so clients can send back a resource that they fetched.

    If the body is ``optional``, null and an empty string count as no body: some clients send them instead.
    """

    optional: ClassVar[bool] = False

    class Meta:
        unknown = EXCLUDE

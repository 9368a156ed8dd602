"""The schemas that any resource uses."""

from marshmallow import EXCLUDE, Schema

# The largest page of a list.
MAX_LISTED = 1000


class IncomingSchema(Schema):
    """Unknown and read-only fields are ignored, so clients can send back a resource that they fetched."""

    class Meta:
        unknown = EXCLUDE

"""The one error of this package."""

import psycopg2


class EmbeddedError(psycopg2.OperationalError):
    """The embedded PostgreSQL cannot be used; the message names the cause in one line."""

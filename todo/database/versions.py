"""The versions of rows, and the conditions of a request on them (If-Match and If-None-Match)."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, Text, any_, bindparam, literal_column, or_, true
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY

from todo.database.resource import Resource

# The versions that may be changed, NULL for any; and those that may not, NULL for all.
ALLOWED = bindparam("allowed", type_=ARRAY(Text))
REFUSED = bindparam("refused", type_=ARRAY(Text))


class Versions(NamedTuple):
    """The versions of a row that may be changed: ``allowed``, None for any, without ``refused``, None for all.

    If ``exists``, no row may be created.
    """

    allowed: list[str] | None
    refused: list[str] | None
    exists: bool = False


ANY_VERSION = Versions(None, [])


def is_expected(resource: Resource[Any]) -> ColumnElement[bool]:
    """Build the condition of a row with one of the expected versions."""
    return or_(ALLOWED.is_(None), build_version(resource) == any_(ALLOWED)) & ~is_refused(resource)


def write_expected(table: Table) -> str:
    """Return the SQL of is_expected as text."""
    version = write_version_of(table.fullname)
    allowed = f"(CAST(:allowed AS text[]) IS NULL OR {version} = ANY (CAST(:allowed AS text[])))"
    return f"{allowed} AND NOT coalesce({version} = ANY (CAST(:refused AS text[])), true)"


def is_refused(resource: Resource[Any]) -> ColumnElement[bool]:
    """Build the condition of a row with one of the refused versions."""
    return sql.coalesce(build_version(resource) == any_(REFUSED), true())


def build_version(resource: Resource[Any]) -> ColumnElement[str]:
    """Build the SQL of what write_version returns."""
    return literal_column(write_version_of(resource.table.fullname), Text)


def write_version_of(row: str) -> str:
    """Return the SQL of what write_version returns, for a table or an alias. Citus accepts no concat() here."""
    return f"(CAST({row}.id AS text) || '.' || CAST({row}.version AS text))"

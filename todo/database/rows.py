"""Statements about one row, which is named by its ID or by its UID."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from sqlalchemy import BigInteger, ColumnElement, bindparam, select
from sqlalchemy.dialects.postgresql import UUID

from todo.database.isolation import fetch
from todo.database.resource import NO_ID, Resource
from todo.database.statements import Statement
from todo.errors import NotFound

M = TypeVar("M")
T = TypeVar("T")

# A row is named by its ID or by its UID, a text in lower case.
RowName = int | str
# By the type of the name: its column.
COLUMNS: dict[type[Any], str] = {int: "id", str: "uid"}
TYPES: dict[str, Any] = {"id": BigInteger(), "uid": UUID(as_uuid=False)}


class RowStatement(Generic[T]):
    """A statement about one row. It has two forms, for the ID and for the UID, which are built when they are used."""

    def __init__(self, build: Callable[[str], Statement[T]]) -> None:
        """``build`` takes the column that names the row."""
        self._build = build
        self._forms: dict[type[Any], Statement[T]] = {}

    def fetch(
        self, user_id: str, name: RowName, values: Mapping[str, Any] | None = None, *, repeatable: bool = False
    ) -> T:
        """Run the statement, and return its row; raises NotFound. NO_ID needs no statement."""
        if name == NO_ID:
            raise NotFound
        kind = type(name)
        form = self._forms.get(kind) or self._forms.setdefault(kind, self._build(COLUMNS[kind]))
        rows = fetch(user_id, form, {**(values or {}), "owner": user_id, "row_name": name}, repeatable=repeatable)
        if not rows:
            raise NotFound
        return rows[0]


def is_row(resource: Resource[Any], column: str) -> ColumnElement[bool]:
    """Build the condition of one row: the owner, and the name in a column."""
    return resource.is_own & (resource.table.c[column] == bindparam("row_name", type_=TYPES[column]))


def build_get(resource: Resource[M]) -> RowStatement[M]:
    """Build the statement that returns one row."""
    return RowStatement(
        lambda column: Statement(select(*resource.columns).where(is_row(resource, column)), row=resource.row)
    )

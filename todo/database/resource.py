"""Describes a resource once. Columns, responses, request schemas and the OpenAPI document derive from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from marshmallow import fields
from sqlalchemy import ColumnElement, Table, Text, bindparam

from todo.database.statements import RowType, row_of

M = TypeVar("M")

# IDs are from 1 to MAX_ID; NO_ID is an ID that does not exist.
NO_ID, MAX_ID = 0, 2**63 - 1
# Called owner, because SQLAlchemy reserves the name of a column in INSERT and UPDATE.
OWNER = bindparam("owner", type_=Text)


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a resource.

    ``about`` describes it in the OpenAPI document. ``response`` is its schema in responses, ``request`` its schema in
    requests; None means that it is read-only. ``column`` is the column of the field, if it has another name. Where one
    column is not enough, ``also`` names the others, ``show`` returns the field of a row, and ``store`` returns the
    columns of a value. ``default`` is the value in a new resource.
    """

    about: str
    response: fields.Field[Any]
    request: fields.Field[Any] | None = None
    column: str = ""
    also: tuple[str, ...] = ()
    show: Callable[[Any], Any] | None = None
    store: Callable[[Any], Mapping[str, Any]] | None = None
    default: Any = None


class Resource(Generic[M]):
    """A table with an owner, and its fields in the order of responses.

    Statements select ``columns`` and return rows of type ``row``. Every table has the columns ``user_id``, ``id`` and
    ``version``, which grows with each change and never comes back.
    """

    def __init__(
        self, model: type[M], table: Table, described: Mapping[str, Field], *, stamped: Sequence[str] = ()
    ) -> None:
        """``stamped``: further columns that an UPDATE sets. /readyz checks the right to update them."""
        self.model = model
        self.table = table
        self.fields = described
        names = [field.column or name for name, field in described.items()]
        names += [column for field in described.values() for column in field.also]
        self.columns: Sequence[ColumnElement[Any]] = [table.c[name] for name in (*names, "version")]
        self.row: RowType[M] = row_of(model, [*names, "version"])
        self.is_own = table.c.user_id == OWNER
        self.requests = {name: field.request for name, field in described.items() if field.request is not None}
        self.responses = {name: field.response for name, field in described.items()}
        self.about = {name: field.about for name, field in described.items()}
        self.defaults = {name: described[name].default for name in self.requests}
        # Computed columns cannot be stored.
        self.stored = [name for name in self.to_columns(self.defaults) if table.c[name].computed is None]
        table.info["changed"] = [*self.stored, *stamped]
        self._names = tuple(described)
        self._shown = [(name, field.show) for name, field in described.items() if field.show is not None]

    def to_response(self, row: Any) -> dict[str, Any]:
        """Return a row as a response has it."""
        response = dict(zip(self._names, row))  # noqa: B905 - the row has further columns; strict=… costs a tenth
        for name, show in self._shown:
            response[name] = show(row)
        return response

    def to_columns(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what fields are stored as, by column."""
        columns: dict[str, Any] = {}
        for name, value in values.items():
            store = self.fields[name].store
            columns |= store(value) if store is not None else {self.fields[name].column or name: value}
        return columns

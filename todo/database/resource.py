"""Describes a resource once. Columns, responses, request schemas and the OpenAPI document derive from it."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeVar, cast

from marshmallow import fields
from sqlalchemy import ColumnElement, Table, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY

from todo.database.statements import RowType, row_of

M = TypeVar("M")

# IDs are from 1 to MAX_ID; NO_ID is an ID that does not exist.
NO_ID, MAX_ID = 0, 2**63 - 1
# Called owner, because SQLAlchemy reserves the name of a column in INSERT and UPDATE.
OWNER = bindparam("owner", type_=Text)


@dataclass(frozen=True)
class Field:
    """A field of a resource, with its description and an example for the OpenAPI document.

    ``request`` is its schema in requests; without one, the field is read-only. ``response`` is its schema in responses,
    if it is another. ``column`` is its column, if it has another name. Where one column is not enough, ``also`` names
    the others, ``show`` returns the field of a row, and ``store`` returns the columns of a value. ``default`` is the
    value in a new resource.
    """

    about: str
    example: Any
    _: KW_ONLY
    request: fields.Field[Any] | None = None
    response: fields.Field[Any] | None = None
    column: str = ""
    also: tuple[str, ...] = ()
    show: Callable[[Any], Any] | None = None
    store: Callable[[Any], Mapping[str, Any]] | None = None
    default: Any = None

    def build_response(self) -> fields.Field[Any]:
        """Return the schema in responses, which always have the field."""
        schema = copy(self.response or self.request)
        if schema is None:
            raise TypeError("A field needs a schema, for requests or for responses")
        schema.required = True
        schema.metadata = {**schema.metadata, **({} if self.request else {"readOnly": True})}
        return schema


def write_version(row: Any) -> str:
    """Return the version of a row as it is compared: with the ID, so that it belongs to this row only."""
    return f"{row.id}.{row.version}"


def write_tag(row: Any) -> str:
    """Return the entity tag of a version of a row (RFC 9110 section 8.8.3)."""
    return f'"{row.id}.{row.version}"'


ETAG = Field(
    "The version, for If-Match: the same text as the header ETag, with its quotes.",
    '"42.3"',
    response=fields.String(),
    column="version",
    show=write_tag,
)


class Resource(Generic[M]):
    """A table with an owner, and its fields in the order of responses.

    Statements select ``columns`` and return rows of type ``row``. Every table has the columns ``user_id``, ``id``,
    ``uid``, ``change`` and ``version``, which grows with each change and never comes back. Responses have it as
    ``etag``, their last field.
    """

    def __init__(self, model: type[M], described: Mapping[str, Field], *, stamped: Sequence[str] = ()) -> None:
        """``stamped``: further columns that an UPDATE sets, if there are updates. /readyz checks the right to do so."""
        self.model = model
        self.table: Table = cast(Any, model).__table__
        self.fields = described = {**described, "etag": ETAG}
        names = [field.column or name for name, field in described.items()]
        names += [column for field in described.values() for column in field.also]
        self.columns: Sequence[ColumnElement[Any]] = [self.table.c[name] for name in names]
        self.row: RowType[M] = row_of(model, names)
        self.is_own: ColumnElement[bool] = self.table.c.user_id == OWNER
        # The columns that can be long.
        self.texts = [column for column in self.columns if isinstance(column.type, Text | ARRAY)]
        self.requests = {name: field.request for name, field in described.items() if field.request is not None}
        self.responses = {name: field.build_response() for name, field in described.items()}
        self.about = {name: field.about for name, field in described.items()}
        self.example = {name: field.example for name, field in described.items()}
        self._default_columns = self.to_columns({name: described[name].default for name in self.requests})
        # Computed columns cannot be stored.
        self.stored = [name for name in self._default_columns if self.table.c[name].computed is None]
        if stamped:
            self.table.info["changed"] = [*self.stored, *stamped]
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

    def to_new_columns(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a new resource is stored as: its fields, and the defaults of the others."""
        return self._default_columns | self.to_columns(values)

    def drop_defaults(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns whose values are not the defaults."""
        return {name: value for name, value in columns.items() if value != self._default_columns[name]}

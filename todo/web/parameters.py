"""The parameters of a query, validated strictly: a typo must not return a wrong list."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError, fields

from todo.web.urls import split_query

# In bytes. Longer queries are rare, and would fill the memory.
LONGEST_CACHED = 500


@dataclass(frozen=True)
class Aliases:
    """Alternative names of parameters and values. Set it as ``aliases`` on a schema."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def load_query(schema: Schema) -> Any:
    """Return the parameters of the request as the schema loads them; raises ValidationError."""
    query = request.query_string
    return load_cached(schema, query) if len(query) <= LONGEST_CACHED else load_parameters(schema, query)


def load_parameters(schema: Schema, query: bytes) -> Any:
    """Return the parameters of a query as the schema loads them.

    Raises ValidationError for an unknown parameter, and for a repeated one that is no list.
    """
    aliases: Aliases = getattr(schema, "aliases", Aliases())
    given: dict[str, list[str]] = {}
    for alias, text in split_query(query):
        name = aliases.parameters.get(alias, alias)
        given.setdefault(name, []).append(aliases.values.get(name, {}).get(text, text))
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for name, texts in given.items():
        kind = schema.fields.get(name)
        if kind is None:
            errors[name] = [f"Unknown parameter; allowed are {', '.join(schema.fields)}."]
        elif isinstance(kind, fields.List):
            values[name] = texts
        elif len(texts) > 1:
            errors[name] = [f"Given {len(texts)} times; once is allowed."]
        else:
            values[name] = texts[0]
    if errors:
        raise ValidationError(errors)
    return MappingProxyType(schema.load(values))


# Clients repeat their queries.
load_cached = lru_cache(maxsize=1024)(load_parameters)

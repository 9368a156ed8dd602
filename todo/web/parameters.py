"""The parameters of a query, validated strictly: a typo must not return a wrong list."""

import re
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError, fields

from todo.web.urls import split_query

# In bytes. Longer queries are rare, and would fill the memory.
LONGEST_CACHED = 500
# A short query can have thousands of unknown parameters.
MAX_ERRORS = 20
# Bytes that are not UTF-8, as Python escapes them (PEP 383).
NOT_UTF_8 = re.compile("[\udc80-\udcff]")


class InvalidParameters(ValidationError):
    problem_code = "invalid_parameters"


def load_query(schema: Schema) -> Any:
    """Return the parameters of the request as the schema loads them; raises InvalidParameters."""
    query = request.query_string
    return load_cached(schema, query) if len(query) <= LONGEST_CACHED else load_parameters(schema, query)


def load_parameters(schema: Schema, query: bytes) -> Any:
    """Return the parameters of a query as the schema loads them.

    ``aliases`` of the schema are other names of its parameters. If it is ``lenient``, a parameter with an empty value
    counts as absent: HTML forms send it. Raises InvalidParameters for unknown, invalid and repeated parameters, each
    under the name that was sent.
    """
    given, errors = group_parameters(schema, query)
    values: dict[str, Any] = {}
    allowed = ", ".join(list_documented(schema) or schema.fields) or "none"
    for name, pairs in given.items():
        if name not in schema.fields:
            errors[name] = [f"Unknown parameter; allowed: {allowed}."]
        elif isinstance(schema.fields[name], fields.List):
            values[name] = [text for _, text in pairs]
        elif len(pairs) > 1:
            names = list(dict.fromkeys(sent for sent, _ in pairs))
            spellings = f" (as {' and '.join(names)})" if len(names) > 1 else ""
            errors |= {sent: [f"Given {len(pairs)} times{spellings}; once is allowed."] for sent in names}
        else:
            values[name] = pairs[0][1]
    try:
        loaded = schema.load(values)
    except ValidationError as error:
        for name, messages in error.messages_dict.items():
            errors |= {sent: messages for sent, _ in given.get(name, [(name, "")])}
    if errors:
        raise InvalidParameters(dict(islice(errors.items(), MAX_ERRORS)))
    return MappingProxyType(loaded)


def group_parameters(schema: Schema, query: bytes) -> tuple[dict[str, list[tuple[str, str]]], dict[str, list[str]]]:
    """Return the names as sent and the texts, by the name in the schema; and the errors of texts that are not UTF-8."""
    aliases, is_lenient = getattr(schema, "aliases", {}), getattr(schema, "lenient", False)
    given: dict[str, list[tuple[str, str]]] = {}
    errors = {}
    for (sent, _), (_, text) in zip(split_query(query), split_query(query, "surrogateescape"), strict=True):
        if NOT_UTF_8.search(text):
            errors[sent] = ["Is not text in UTF-8, percent-encoded."]
        elif text or not is_lenient:
            given.setdefault(aliases.get(sent, sent), []).append((sent, text))
    return given, errors


def list_documented(schema: Schema) -> list[str]:
    """Return the names of the parameters that the OpenAPI document has."""
    return [name for name, field in schema.fields.items() if not field.metadata.get("undocumented")]


# Clients repeat their queries.
load_cached = lru_cache(maxsize=1024)(load_parameters)

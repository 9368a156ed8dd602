"""URLs: what a query says, and where things are as the client knows them."""

import re
from urllib.parse import parse_qsl, quote, urlencode

from flask import request

# What X-Forwarded-Host and -Prefix may be: anybody can send them.
HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


def split_query(query: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query in their order, whatever bytes it has."""
    return parse_qsl(query.decode(errors="replace"), keep_blank_values=True, errors="werkzeug.url_quote")


def build_prefix() -> str:
    """Return what is before this service's paths as the client knows them: what a proxy takes off."""
    prefix = request.script_root
    return prefix if PREFIX.fullmatch(prefix) else ""


def build_url(**changes: str) -> str:
    """Return this request's complete URL with other values for some of the query's parameters.

    Without its origin if what the request says of that cannot be: every client knows where it asked.
    """
    query = [(name, value) for name, value in split_query(request.query_string) if name not in changes]
    known = request.scheme in {"http", "https"} and HOST.fullmatch(request.host)
    origin = f"{request.scheme}://{request.host}" if known else ""
    path = quote(request.path, safe="/:@!$&'()*+,;=~")
    return f"{origin}{build_prefix()}{path}?{urlencode([*query, *changes.items()])}"

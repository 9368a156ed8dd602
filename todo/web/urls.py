"""URLs: the parameters of a query, and links as the client knows the service."""

import re
from urllib.parse import parse_qsl, quote, urlencode

from flask import request

# Valid values of X-Forwarded-Host and -Prefix: any client can send them.
HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


def split_query(query: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query in their order; any bytes are accepted."""
    return parse_qsl(query.decode(errors="replace"), keep_blank_values=True, errors="werkzeug.url_quote")


def build_prefix() -> str:
    """Return the path prefix that a proxy removes from the client's URLs."""
    prefix = request.script_root
    return prefix if PREFIX.fullmatch(prefix) else ""


def build_url(**changes: str) -> str:
    """Return the URL of this request with other values of some parameters.

    The URL is relative if the request has an impossible host: a client knows its own origin.
    """
    query = [(name, value) for name, value in split_query(request.query_string) if name not in changes]
    known = request.scheme in {"http", "https"} and HOST.fullmatch(request.host)
    origin = f"{request.scheme}://{request.host}" if known else ""
    path = quote(request.path, safe="/:@!$&'()*+,;=~")
    return f"{origin}{build_prefix()}{path}?{urlencode([*query, *changes.items()])}"

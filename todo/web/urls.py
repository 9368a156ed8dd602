"""URLs: the parameters of a query, and links as the client knows the service."""

import re
from urllib.parse import parse_qsl, quote, urlencode

from flask import request

# Valid values of X-Forwarded-Host and -Prefix: any client can send them.
HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


def split_query(query: bytes, errors: str = "werkzeug.url_quote") -> list[tuple[str, str]]:
    """Return the names and values of a query in their order. ``errors`` handles bytes that are not UTF-8."""
    return parse_qsl(query.decode(errors="replace"), keep_blank_values=True, errors=errors)


def build_prefix() -> str:
    """Return the path prefix that a proxy removes from the client's URLs."""
    prefix = request.script_root
    return prefix if PREFIX.fullmatch(prefix) else ""


def build_base() -> str:
    """Return the URL of the service as the client knows it: the origin and the path prefix, without a slash at the end.

    The URL has no origin if the request has no host or an impossible one: a client knows its own.
    """
    host = request.environ.get("HTTP_HOST", "")  # request.host is empty for a name with an underscore: todo_api.
    found = HOST.fullmatch(host)
    known = found and int(found[1] or 0) < 65536 and request.scheme in {"http", "https"}
    return (f"{request.scheme}://{host}" if known else "") + build_prefix()


def build_url(**changes: str) -> str:
    """Return the URL of this request with other values of some parameters."""
    query = [(name, value) for name, value in split_query(request.query_string) if name not in changes]
    path = quote(request.path, safe="/:@!$&'()*+,;=~")
    return f"{build_base()}{path}?{urlencode([*query, *changes.items()])}"

"""The Flask application of the service, and its rules for paths."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, g, request
from werkzeug.exceptions import MethodNotAllowed, RequestURITooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from todo.errors import NotFound
from todo.web.ids import make_converter
from todo.web.problems import log_failure

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Many proxies accept no longer URLs.
MAX_URL_BYTES = 8190
SCHEMES = {"ws": "http", "wss": "https"}


class Application(Flask):
    """Accepts every path with and without a trailing slash, and knows IDs in paths."""

    def __init__(self, import_name: str, *, fixed: Sequence[str]) -> None:
        """``fixed`` names the paths that stand where others have an ID."""
        super().__init__(import_name, static_folder=None)
        # Flask would redirect /api//tasks, and a redirect breaks a preflighted call.
        self.url_map.merge_slashes = False
        self.url_map.converters["id"] = make_converter(fixed)
        # X-Forwarded-Host, -Proto and -Prefix are trusted from any client: they shape only links in its own response.
        proxied = ProxyFix(simplify_request(self.wsgi_app), x_for=0, x_proto=1, x_host=1, x_prefix=1)
        self.wsgi_app = proxied  # type: ignore[method-assign]
        self.before_request(check_request)

    def log_exception(self, exc_info: Any) -> None:
        """Log an exception that a hook or an error handler raised."""
        log_failure(exc_info)


def simplify_request(application: "WSGIApplication") -> "WSGIApplication":
    """Remove the slash at the end of a path, and an offer of WebSocket (RFC 9110 section 7.8): WSGI middleware.

    Werkzeug's strict_slashes=False accepts no slash after a ``<path:…>``, and its routes no WebSocket. Proxies tell of
    one by ``X-Forwarded-Proto: wss``.
    """

    def run(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if len(path) > 1 and path.endswith("/"):
            environ["PATH_INFO"] = path[:-1]
        environ.pop("HTTP_UPGRADE", None)
        scheme = environ["wsgi.url_scheme"].lower()
        environ["wsgi.url_scheme"] = SCHEMES.get(scheme, scheme)
        return application(environ, start_response)

    return run


def check_request() -> None:
    """Raise RequestURITooLarge, and MethodNotAllowed for a method in lower case, which Werkzeug would accept."""
    is_long = len(request.environ["PATH_INFO"]) + len(request.query_string) > MAX_URL_BYTES
    if is_long and request.method != "OPTIONS":  # A page could not read that its preflight was refused.
        raise RequestURITooLarge(f"The path and the query are longer than {MAX_URL_BYTES} bytes. Shorten them.")
    if request.url_rule is not None and request.environ["REQUEST_METHOD"] != request.method:
        routes = current_app.create_url_adapter(request)
        methods = routes.allowed_methods() if routes else ()
        raise MethodNotAllowed(methods, f"Write the method in capitals: {request.method}.")


def take_path_user(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Move the path's user ID to ``g.path_user_id``, a URL value preprocessor. Views use only the ID of the token."""
    if values is not None and "user_id" in values:
        g.path_user_id = values.pop("user_id")


def check_path_user() -> None:
    """Raise NotFound if the path has the ID of another user: a before_request hook, after authentication."""
    if request.method != "OPTIONS" and "path_user_id" in g and g.path_user_id != g.user_id:
        raise NotFound

"""The Flask application of the service, and its rules for paths."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from todo.errors import NotFound
from todo.web.ids import IdConverter
from todo.web.problems import log_failure

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Application(Flask):
    """Accepts every path with and without a trailing slash, and knows IDs in paths."""

    def __init__(self, import_name: str) -> None:
        super().__init__(import_name, static_folder=None)
        # Flask would redirect /api//tasks, and a redirect breaks a preflighted call.
        self.url_map.merge_slashes = False
        self.url_map.converters["id"] = IdConverter
        # X-Forwarded-Host, -Proto and -Prefix are trusted from any client: they shape only links in its own response.
        proxied = ProxyFix(strip_trailing_slash(self.wsgi_app), x_for=0, x_proto=1, x_host=1, x_prefix=1)
        self.wsgi_app = proxied  # type: ignore[method-assign]

    def log_exception(self, exc_info: Any) -> None:
        """Log an exception that a hook or an error handler raised."""
        log_failure(exc_info)


def strip_trailing_slash(application: "WSGIApplication") -> "WSGIApplication":
    """Remove the slash at the end of a path: WSGI middleware.

    Werkzeug's strict_slashes=False accepts no slash after a ``<path:…>``.
    """

    def run(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if len(path) > 1 and path.endswith("/"):
            environ["PATH_INFO"] = path[:-1]
        return application(environ, start_response)

    return run


def take_path_user(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Move the path's user ID to ``g.path_user_id``, a URL value preprocessor. Views use only the ID of the token."""
    if values is not None and "user_id" in values:
        g.path_user_id = values.pop("user_id")


def check_path_user() -> None:
    """Raise NotFound if the path has the ID of another user: a before_request hook, after authentication."""
    if request.method != "OPTIONS" and "path_user_id" in g and g.path_user_id != g.user_id:
        raise NotFound

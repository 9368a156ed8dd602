"""A trailing slash is accepted everywhere, without a redirect: that would break a browser's preflighted call."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def strip_trailing_slash(application: "WSGIApplication") -> "WSGIApplication":
    """WSGI middleware: routes are written without the slash, and one at the end is taken off.

    Werkzeug's strict_slashes=False is not enough: behind a <path:…> it accepts no slash.
    """

    def run(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if len(path) > 1 and path.endswith("/"):
            environ["PATH_INFO"] = path[:-1]
        return application(environ, start_response)

    return run

"""The facts about a request that are logged and counted. Of the client's input, they contain only a checked id."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Flask, Response, g, request

from todo.web.headers import ID_KEY, METHODS

# Keys of the WSGI environment, through which the application passes facts to the server.
USER_KEY = "todo.user_id"
ROUTE_KEY = "todo.route"
OTHER_METHOD = "other"


class Request(NamedTuple):
    """A finished request. ``route`` is the template of its path; None for an unknown path or a wrong method."""

    request_id: str
    user_id: str | None
    method: str
    route: str | None
    status: int
    milliseconds: float
    size: int  # of the response's body, in bytes
    refusal: str | None = None  # why the server refused it before the application


def init_app(app: Flask) -> None:
    """Pass each request's user and route to the server."""
    app.after_request(pass_to_server)


def pass_to_server(response: Response) -> Response:
    """Put the request's user and route into the WSGI environment, which the server reads."""
    rule = request.url_rule
    if rule is not None:
        environ = request.environ
        environ[ROUTE_KEY] = name_route(rule.rule)
        environ[USER_KEY] = g.get("user_id")
    return response


def read_request(response: Any, environ: dict[str, Any], duration: timedelta) -> Request:
    """Return the facts about a request from gunicorn's response object and the WSGI environment."""
    method = environ["REQUEST_METHOD"]
    return Request(
        request_id=environ.get(ID_KEY, "-"),
        user_id=environ.get(USER_KEY),
        method=method if method in METHODS else OTHER_METHOD,
        route=environ.get(ROUTE_KEY),
        status=response.status_code,
        milliseconds=duration / timedelta(milliseconds=1),
        size=response.sent,
    )


@lru_cache
def name_route(rule: str) -> str:
    """Return a URL rule without its converters: <task_id>, not <int:task_id>."""
    return re.sub(r"<\w+:", "<", rule)

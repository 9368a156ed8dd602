"""What is written, and counted, of a request: nothing that its sender chose, but for an id that was looked at."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Flask, Response, g, request

from todo.web.headers import ID_KEY, METHODS

# Keys of the WSGI environment, in which the application leaves what the server needs for the request's line.
USER_KEY = "todo.user_id"
ROUTE_KEY = "todo.route"
OTHER_METHOD = "other"


class Request(NamedTuple):
    """A request that was answered. ``route`` is its template; None for an unknown path, or a wrong method."""

    request_id: str
    user_id: str | None
    method: str
    route: str | None
    status: int
    milliseconds: float
    size: int  # of the answer's body, in bytes
    refusal: str | None = None  # why it did not come as far as the application


def init_app(app: Flask) -> None:
    """Let the server know what each request was."""
    app.after_request(hand_over)


def hand_over(response: Response) -> Response:
    """Leave a request's user and its route for the server."""
    rule = request.url_rule
    if rule is not None:
        environ = request.environ
        environ[ROUTE_KEY] = name_route(rule.rule)
        environ[USER_KEY] = g.get("user_id")
    return response


def read_request(answer: Any, environ: dict[str, Any], duration: timedelta) -> Request:
    """Return what is known of a request that gunicorn has answered: its response, its WSGI environment."""
    method = environ["REQUEST_METHOD"]
    return Request(
        request_id=environ.get(ID_KEY, "-"),
        user_id=environ.get(USER_KEY),
        method=method if method in METHODS else OTHER_METHOD,
        route=environ.get(ROUTE_KEY),
        status=answer.status_code,
        milliseconds=duration / timedelta(milliseconds=1),
        size=answer.sent,
    )


@lru_cache
def name_route(rule: str) -> str:
    """Return a rule as people write it: what is between its brackets, without how it is matched."""
    return re.sub(r"<\w+:", "<", rule)

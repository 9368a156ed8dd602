"""Responses of successful requests: JSON, or no body. Errors are problems (problems.py)."""

from typing import Any

import orjson
from flask import Response
from werkzeug.datastructures import Headers

from todo.web.urls import build_url

WITHOUT_BODY = {204, 304}


class CompleteResponse(Response):
    """A response with complete headers. Werkzeug would copy them, and look for missing ones."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        if self.status_code not in WITHOUT_BODY:
            self.headers["Content-Length"] = str(self.calculate_content_length())
        return self.headers


def reply(data: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return CompleteResponse(orjson.dumps(data), status, content_type="application/json")


def empty_response(status: int) -> Response:
    """Return a response without a body, and so without a Content-Type."""
    response = CompleteResponse(status=status)
    del response.headers["Content-Type"]
    return response


def link_next(response: Response, cursor: str | None) -> Response:
    """Add the Link to the next page (RFC 8288), if there is one."""
    if cursor is not None:
        response.headers["Link"] = f'<{build_url(cursor=cursor)}>; rel="next"'
    return response

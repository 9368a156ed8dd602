"""What is answered if all is well: JSON, or nothing. What is not is a problem (problems.py)."""

from typing import Any

import orjson
from flask import Response
from werkzeug.datastructures import Headers

JSON_OPTIONS = orjson.OPT_UTC_Z
WITHOUT_BODY = {204, 304}


class Answer(Response):
    """A response whose headers are complete; Werkzeug's would be copied, and looked through again."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        if self.status_code not in WITHOUT_BODY:
            self.headers["Content-Length"] = str(self.calculate_content_length())
        return self.headers


def reply(data: Any, status: int = 200) -> Response:
    """Answer JSON, with every time in UTC as RFC 3339 writes it."""
    return Answer(orjson.dumps(data, option=JSON_OPTIONS), status, content_type="application/json")


def empty_response(status: int) -> Response:
    """Answer without a body, and so without a Content-Type."""
    response = Answer(status=status)
    del response.headers["Content-Type"]
    return response

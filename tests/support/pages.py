"""Read the pages of a list and the links between them."""

import re

from werkzeug.test import TestResponse

from tests.support.callers import Caller, read_tasks


def read_next(response: TestResponse) -> str | None:
    """Return the URL of the next page (RFC 8288), or None."""
    link = response.headers.get("Link")
    if link is None:
        return None
    found = re.fullmatch(r'<(https?://[^>]+)>; rel="next"', link)
    assert found
    return found[1]


def walk(caller: Caller, url: str | None) -> list[list[str]]:
    """Return the titles on each page, from the page at the URL to the last."""
    pages: list[list[str]] = []
    while url is not None:
        assert len(pages) < 20, "the pages do not end"
        response = caller.get(url)
        pages.append([task["title"] for task in read_tasks(response)])
        url = read_next(response)
    return pages

"""GET /api/docs: the files of the API explorer. proofs/test_api_docs.py tries it in a browser."""

import re
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

from config import Settings
from tests.support.callers import Caller, read_problem, read_tasks

NEVER = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
ADDRESSES = re.compile(r'(?:src|href|data-prefix)="([^"]*)"')


def test_the_page_needs_no_token_and_no_other_origin(client: FlaskClient) -> None:
    page = client.get("/api/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    addresses = [address for address in ADDRESSES.findall(page.text) if address]
    assert len(addresses) == 6
    for address in addresses:
        response = client.get(urljoin("/api/docs", address), buffered=True)
        assert response.status_code == 200, address
        assert response.data
        assert response.headers.getlist("Cache-Control") == ["private, no-cache"]
    assert "//" not in re.sub(r"https?://www\.w3\.org/\S+", "", page.text)


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/", "/api/docs/explorer.js", "/api/docs/swagger-ui-bundle.js"])
def test_its_policy_allows_only_its_own_scripts_and_requests(client: FlaskClient, path: str) -> None:
    response = client.get(path, buffered=True)
    assert response.status_code == 200
    assert len(response.headers.getlist("Content-Security-Policy")) == 1
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy.pop("img-src") == "'self' data:"
    assert {name for name, value in policy.items() if value == "'self'"} == {"script-src", "style-src", "connect-src"}
    assert {name for name, value in policy.items() if value == "'none'"} == {
        "default-src",
        "base-uri",
        "form-action",
        "frame-ancestors",
    }
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_no_inline_scripts_or_styles(client: FlaskClient) -> None:
    assert not re.search(r"<script>|<style|style=|\son\w+=", client.get("/api/docs").text)


def test_files_are_found_behind_a_path_prefix(client: FlaskClient) -> None:
    page = client.get("/api/docs", headers={"X-Forwarded-Prefix": "/todo"}).text
    addresses = ADDRESSES.findall(page)
    assert addresses
    assert all(address.startswith("/todo") for address in addresses)
    assert "evil" not in client.get("/api/docs", headers={"X-Forwarded-Prefix": '/"><script>evil'}).text


@pytest.mark.parametrize("name", ["explorer.html", "__init__.py", "index.html", "..%2f__init__.py", "nothing", "a/b"])
def test_other_files_are_not_served(client: FlaskClient, name: str) -> None:
    problem = read_problem(client.get(f"/api/docs/{name}", headers={"Authorization": "Bearer x"}), 404)
    assert name not in str(problem)


def test_a_user_with_the_id_docs_has_tasks(client: FlaskClient, settings: Settings) -> None:
    docs = Caller(client, settings, "docs")
    docs.add()
    assert read_tasks(docs.get("/api/docs/tasks"))
    read_problem(client.get("/api/docs/tasks"), 401)


def test_an_unchanged_file_is_304(client: FlaskClient) -> None:
    etag = client.get("/api/docs/swagger-ui-bundle.js", buffered=True).headers["ETag"]
    response = client.get("/api/docs/swagger-ui-bundle.js", headers={"If-None-Match": etag}, buffered=True)
    assert (response.status_code, response.data) == (304, b"")


@pytest.mark.parametrize("headers", [{"If-Modified-Since": NEVER}, {"If-Range": NEVER, "Range": "bytes=0-1"}])
def test_an_invalid_date_in_if_modified_since_is_ignored(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.get("/api/docs/explorer.css", headers=headers, buffered=True)
    assert response.status_code == 200
    assert len(response.data) > 2

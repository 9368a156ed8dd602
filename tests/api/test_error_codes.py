"""The code of errors without an example in the OpenAPI document. test_document_examples.py provokes the others."""

import orjson
import pytest
from flask.testing import FlaskClient
from gunicorn.http import errors  # type: ignore[import-untyped]

from server.refusals import make_refusal
from tests.support.callers import CODES, Caller, read_problem

RANGE = {"Range": "bytes=999999999-"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/nothing", {}, 404, "not_found"),
        ("GET", "/api/nothing", {}, 404, "not_found"),
        ("POST", "/healthz", {}, 405, "method_not_allowed"),
        ("GET", "/api/docs/explorer.css", RANGE, 416, "requested_range_not_satisfiable"),
        ("GET", "/api/tasks", {"Authorization": "Basic eDp5"}, 401, "token_invalid"),
    ],
)
def test_errors_without_a_user_have_a_code(
    client: FlaskClient, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    assert read_problem(client.open(path, method=method, headers=headers), status)["code"] == code


@pytest.mark.parametrize("body", ["[]", "{", "\ud800".encode(errors="surrogatepass"), b"[" * 60_000])
def test_every_malformed_body_has_the_same_code(alice: Caller, body: str | bytes) -> None:
    response = alice.post("/api/tasks", data=body, content_type="application/json")
    assert read_problem(response, 400)["code"] == "malformed_body"


def test_parameters_and_fields_have_different_codes(alice: Caller) -> None:
    assert read_problem(alice.get("/api/tasks?stauts=all"), 422, "stauts")["code"] == "invalid_parameters"
    assert read_problem(alice.get(f"/api/tasks?limit={'9' * 600}"), 422, "limit")["code"] == "invalid_parameters"
    assert read_problem(alice.post("/api/tasks", json={}), 422, "title")["code"] == "invalid_fields"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.LimitRequestLine(9000, 8190), 414, "request_line_too_long"),
        (errors.LimitRequestHeaders("x"), 431, "header_too_large"),
        (errors.ExpectationFailed("x"), 417, "expectation_failed"),
        (errors.UnsupportedTransferCoding("x"), 501, "not_implemented"),
        (errors.InvalidRequestLine("x"), 400, "malformed_request"),
        (RuntimeError(), 500, "internal_error"),
    ],
)
def test_requests_that_gunicorn_refuses_have_a_code(error: Exception, status: int, code: str) -> None:
    _, response = make_refusal(error)
    problem = orjson.loads(response.partition(b"\r\n\r\n")[2])
    assert (problem["status"], problem["code"]) == (status, code)
    assert [*problem][:5] == ["type", "title", "status", "code", "detail"]
    assert code in CODES

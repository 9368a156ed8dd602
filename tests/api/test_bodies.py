"""Request bodies: accepted media types, size and JSON."""

import gzip
import io
import json

import pytest

from tests.support.callers import Caller, read_problem, read_task


@pytest.fixture(params=["POST", "PUT", "PATCH"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(alice: Caller, method: str) -> str:
    return "/api/tasks" if method == "POST" else f"/api/tasks/{alice.add()['id']}"


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_media_types_are_accepted(alice: Caller, method: str, path: str, media_type: str) -> None:
    response = alice.call(method, path, data='{"title": "é"}'.encode(), content_type=media_type)
    assert read_task(response, 201 if method == "POST" else 200)["title"] == "é"


def test_merge_patch_is_accepted_by_patch_only(alice: Caller, method: str, path: str) -> None:
    response = alice.call(method, path, data=b'{"title": "x"}', content_type="application/merge-patch+json")
    if method == "PATCH":
        read_task(response)
    else:
        read_problem(response, 415)


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"]
)
def test_other_media_types_are_415_and_name_the_accepted_one(
    alice: Caller, method: str, path: str, media_type: str | None
) -> None:
    problem = read_problem(alice.call(method, path, data=b'{"title": "x"}', content_type=media_type), 415)
    assert "application/json" in problem["detail"]


def test_an_empty_body_counts_as_no_body_with_any_media_type(alice: Caller, method: str, path: str) -> None:
    for media_type in ("application/json", "text/plain", None):
        response = alice.call(method, path, data=b"", content_type=media_type)
        if method == "POST":
            read_problem(response, 422, "title")
        else:
            read_task(response)


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nope", b"{'title': 'x'}", b'{"title": "x",}', b'{"title": "x"} {}', b"\xff\xfe{}", b"\x00", b" ",
        b'{"title": "\xed\xa0\x80"}', b'{"title": NaN}', b'{"title": Infinity}', b"\xef\xbb\xbf ",
        b"[" * 60_000, b'{"a":' * 10_000,
    ],
)  # fmt: skip
def test_invalid_json_is_400(alice: Caller, method: str, path: str, body: bytes) -> None:
    read_problem(alice.call(method, path, data=body, content_type="application/json"), 400)


@pytest.mark.parametrize("coding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "shift-jis"])
def test_a_body_in_another_coding_is_400_and_says_so(alice: Caller, method: str, path: str, coding: str) -> None:
    body = {"shift-jis": '{"title": "買"}', "utf-16-be": '{"title": "x"}'}.get(coding, '{"title": "é"}')
    problem = read_problem(alice.call(method, path, data=body.encode(coding), content_type="application/json"), 400)
    assert "UTF-8" in problem["detail"]


def test_a_byte_order_mark_is_skipped(alice: Caller, method: str, path: str) -> None:
    body = '{"title": "é"}'.encode("utf-8-sig")
    response = alice.call(method, path, data=body, content_type="application/json")
    assert read_task(response, 201 if method == "POST" else 200)["title"] == "é"


@pytest.mark.parametrize("document", [[], [{"title": "x"}], "x", 1, 1.5, True, None])
def test_json_other_than_an_object_is_400(alice: Caller, method: str, path: str, document: object) -> None:
    problem = read_problem(alice.call(method, path, data=json.dumps(document), content_type="application/json"), 400)
    assert problem["detail"] == "The body must be a JSON object."


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1e400", "0.1", "-0"])
def test_unknown_fields_may_hold_numbers_of_any_size(alice: Caller, method: str, path: str, number: str) -> None:
    body = f'{{"title": "x", "unknown": {number}}}'
    response = alice.call(method, path, data=body, content_type="application/json")
    assert read_task(response, 201 if method == "POST" else 200)["title"] == "x"


def test_body_limit_is_64_kib(alice: Caller, method: str, path: str) -> None:
    body = b'{"title": "x"' + b" " * (64 * 1024 - 14) + b"}"
    assert alice.call(method, path, data=body, content_type="application/json").status_code in {200, 201}
    problem = read_problem(alice.call(method, path, data=body + b" ", content_type="application/json"), 413)
    assert "65536 bytes" in problem["detail"]


def test_a_large_body_without_content_length_is_413(alice: Caller, method: str, path: str) -> None:
    endless = {"input_stream": io.BytesIO(b'{"title": "x"}' + b" " * 70_000), "content_type": "application/json"}
    response = alice.call(method, path, **endless, environ_overrides={"wsgi.input_terminated": True})
    read_problem(response, 413)


def test_a_compressed_body_is_415(alice: Caller, method: str, path: str) -> None:
    compressed = gzip.compress(b'{"title": "x"}')
    headers = {"Content-Encoding": "gzip"}
    read_problem(alice.call(method, path, data=compressed, content_type="application/json", headers=headers), 415)

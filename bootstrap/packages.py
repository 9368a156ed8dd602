"""Installs a list of packages into .venv, unless it is installed already: ``python -m bootstrap.packages LIST``."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from bootstrap.progress import Step, read_lines, say, stop_in_order

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
# The hashes of the lists that are installed. It is written last, so it says that an installation is complete.
STAMP = VENV / ".packages"
# Each contains the list before it.
LISTS = ("requirements-run.txt", "requirements-dev.txt")
PIN = re.compile(r"^[\w.-]+(?:\[\w+\])?==", re.MULTILINE)
# pip's lines about a package that it downloads, has as a file, or finds in .venv.
FETCHED = re.compile(r"(?:Collecting |Processing \S*/|Requirement already satisfied: )([\w.]+(?:-[A-Za-z_.][\w.]*)*)")
UNREACHABLE = re.compile(r"Retrying \(Retry|NewConnectionError|Could not fetch URL|ConnectTimeout|NameResolutionError")


def main() -> None:
    """Install the list that the command line names."""
    stop_in_order(130)
    install(sys.argv[1])


def install(name: str) -> None:
    """Install a list of LISTS, and show the progress; exits with one line if that fails.

    An installation that was interrupted goes on: pip keeps what it has downloaded and what it has installed.
    """
    hashes = hash_lists(LISTS[: LISTS.index(name) + 1])
    wait_for_others()
    if STAMP.exists() and hashes[-1] in STAMP.read_text().split() and PYTHON.exists() and not is_moved():
        return
    create_environment()
    STAMP.unlink(missing_ok=True)
    remove_unfinished()
    # Python compiles what it imports: a third of the time, and less is imported than is installed. Each pin is in the
    # list, so pip need not look for dependencies.
    command = ["-m", "pip", "install", "--no-compile", "--no-deps", "--progress-bar=off", "--no-input", "-r", name]
    try:
        with Step(f"Installing packages into {VENV}, once", f"Installed the packages into {VENV}") as step:
            show_pip(step, [str(PYTHON), *command], len(PIN.findall(Path(name).read_text())))
    except subprocess.CalledProcessError as error:
        sys.exit(describe(error.output))
    STAMP.write_text("\n".join(hashes) + "\n")


def wait_for_others() -> None:
    """Wait for an installation in another terminal. The lock ends with this process, which may be killed."""
    folder = os.open(".", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for the installation in another terminal")
        fcntl.flock(folder, fcntl.LOCK_EX)


def hash_lists(lists: Sequence[str]) -> list[str]:
    """Return the hashes that STAMP has when these lists are installed."""
    return [sha256(Path(each).read_bytes()).hexdigest() for each in lists]


def create_environment() -> None:
    """Create .venv, or again if it is incomplete, was moved, or has another version of Python."""
    if is_complete():
        return
    if find_spec("ensurepip") is None or find_spec("venv") is None:
        sys.exit("Error: Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv")
    if not os.access(".", os.W_OK):
        sys.exit("Error: this folder is not writable; clone into a folder that you own")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        with Step(f"Creating {VENV} with Python {version}", f"Created {VENV} with Python {version}"):
            for _ in read_lines([sys.executable, "-m", "venv", "--clear", str(VENV)]):
                pass
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.output}\nError: {VENV} could not be created; the lines above say why")
    if not os.access(VENV / "bin" / "pip", os.X_OK):
        sys.exit("Error: programs cannot run in this folder (noexec); clone elsewhere")


def is_complete() -> bool:
    """Return whether .venv has this version of Python, which runs, and pip. pip's RECORD is its last file."""
    version = f"python3.{sys.version_info.minor}"
    if not list((VENV / "lib" / version / "site-packages").glob("pip-*.dist-info/RECORD")) or is_moved():
        return False
    asked = "import sys; print(f'python3.{sys.version_info.minor}', end='')"
    try:
        return subprocess.run([PYTHON, "-c", asked], capture_output=True, text=True, check=False).stdout == version
    except OSError:
        return False


def is_moved() -> bool:
    """Return whether the folder of the clone was moved or renamed. The programs in .venv have its path."""
    return f" {VENV.resolve()}\n" not in (VENV / "pyvenv.cfg").read_text()


def remove_unfinished() -> None:
    """Remove the metadata of packages whose installation was killed, because pip would take them for complete."""
    for folder in VENV.glob("lib/python3.*/site-packages/*.dist-info"):
        if not (folder / "RECORD").exists():
            shutil.rmtree(folder)


def show_pip(step: Step, command: list[str], total: int) -> None:
    """Run pip, and show which package it downloads or installs; raises CalledProcessError."""
    fetched = 0
    for line in read_lines(command):
        if line.startswith("Ignoring "):  # for another Python or another system
            total -= 1
        elif found := FETCHED.match(line):
            fetched += 1
            step.show(fetched, total, f"downloading {found[1]}")
        elif line.startswith("Installing collected packages: "):
            names = line.partition(": ")[2].split(", ")
            step.follow(partial(find_installing, names, count_installed()))


def find_installing(names: list[str], before: int) -> tuple[int, int, str]:
    """Return how many of these packages pip has installed, in its order, and which is next."""
    number = max(0, min(count_installed() - before, len(names) - 1))
    return number, len(names), f"installing {names[number]}"


def count_installed() -> int:
    """Return the number of complete packages."""
    return len(list(VENV.glob("lib/python3.*/site-packages/*.dist-info/RECORD")))


def describe(output: str) -> str:
    """Return what to print after pip failed: its errors, and the cause."""
    if UNREACHABLE.search(output):
        # pip itself ends with "No matching distribution found".
        return "Error: the package index cannot be reached; check the network and HTTPS_PROXY, then run the same again"
    lines = output.splitlines()
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-10:]
    return "\n".join(
        [*errors, "Error: pip failed, as the lines above say; run the same again, and it goes on where it stopped"]
    )


if __name__ == "__main__":
    main()

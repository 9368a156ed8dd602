"""Commands run as a person runs them, in an environment that holds nothing of this machine's settings."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SETTINGS = (
    "NEON_DB_URL", "DATABASE_URL", "BETTER_AUTH_SECRET", "JWT_ISSUER", "JWT_AUDIENCE", "JWT_USER_CLAIM",
    "CORS_ORIGINS", "PORT", "WEB_CONCURRENCY",
)  # fmt: skip


def make_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """An environment with these settings and no others: an empty one counts as not set, and wins over ``.env``.

    (But not for gunicorn, which reads these two by itself and stumbles over an empty one.)
    """
    given = {name: value for name, value in os.environ.items() if name not in {"PORT", "WEB_CONCURRENCY"}}
    unset = dict.fromkeys((name for name in SETTINGS if name not in {"PORT", "WEB_CONCURRENCY"}), "")
    return given | unset | {"FLASK_SKIP_DOTENV": "1", **settings}


def run(
    program: str, *arguments: str, settings: Mapping[str, str], cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the virtual environment to its end."""
    return subprocess.run(
        [BIN / program, *arguments], cwd=cwd, env=make_environment(settings),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

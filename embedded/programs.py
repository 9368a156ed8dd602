"""PostgreSQL's own programs in the wheel, and as whom they run.

As root, which PostgreSQL refuses to run as, it runs as ``nobody`` with the one capability to pass through
directories closed to that user (DAC_OVERRIDE): so no directory's mode has to change.
"""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from embedded.files import PACKAGE


def find_programs(data: Path) -> Path:
    """Return the folder of the wheel's newest version, or of the one that the existing cluster was made with.

    Raises RuntimeError if the wheel has no such version.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    versions = {}
    for folder in folders:
        for program in Path(folder).glob("pginstall*/bin/postgres"):
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            versions[said.split()[2].split(".")[0]] = program.parent
    wanted = max(versions, key=int, default="")
    if (data / "PG_VERSION").exists():
        wanted = (data / "PG_VERSION").read_text().strip()
    if wanted not in versions:
        raise RuntimeError(f"No PostgreSQL {wanted} in {PACKAGE} for the data in {data}: it has {list(versions)}")
    return versions[wanted]


def find_wrapper() -> list[str]:
    """Return what a command is run through, so that it does not run as root; raises RuntimeError if there is no way."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise RuntimeError("PostgreSQL does not run as root, and there is no setpriv here: use another user")
    nobody = pwd.getpwnam("nobody")
    return [
        setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--no-new-privs",
        "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--",
    ]  # fmt: skip

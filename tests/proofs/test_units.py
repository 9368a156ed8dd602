"""The systemd units: systemd accepts them, and they confine the service."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import BIN, ROOT

ANALYZE = shutil.which("systemd-analyze")
UNITS = sorted(
    path.name for pattern in ("*.service", "*.socket", "*.timer") for path in (ROOT / "deploy").glob(pattern)
)
pytestmark = pytest.mark.skipif(not ANALYZE, reason="systemd is not installed")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the paths of programs on this machine, through a link without spaces."""
    (tmp_path / "bin").symlink_to(BIN)
    for name in UNITS:
        text = (ROOT / "deploy" / name).read_text()
        (tmp_path / name).write_text(re.sub(r"/opt/todo/(current|%i)/\.venv/bin", f"{tmp_path}/bin", text))
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_each_unit_without_warnings(units: Path, name: str) -> None:
    unit = units / name.replace("@.", "@1.0.0.")
    if "@" in name:
        unit.symlink_to(units / name)
    done = analyze("verify", "--man=no", str(unit))
    said = [line for line in done.stderr.splitlines() if str(units) in line or "todo" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_each_unit_has_a_low_exposure_level(units: Path, name: str) -> None:
    """systemd rates exposure from 0 to 10. A unit without restrictions has 9.6, and these have 1.1."""
    done = analyze("security", "--offline=true", "--threshold=12", "--no-pager", str(units / name))
    assert done.returncode == 0, done.stdout[-300:]


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    assert ANALYZE
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)

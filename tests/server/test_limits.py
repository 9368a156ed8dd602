"""How many connections a worker may have with a limit of open files."""

import resource

import pytest

from tests.support.commands import run

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
CODE = """
import resource, sys
from server.limits import describe_limit, limit_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
connections = limit_connections(int(sys.argv[3]), 8)
print(connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0], describe_limit(connections, 8) is not None)
"""


@pytest.mark.skipif(0 <= HARD < 2000, reason="the hard limit is too low")
@pytest.mark.parametrize(
    ("soft", "hard", "workers", "expected"),
    [
        (256, 2000, 2, "900 948 False\n"),  # The default of macOS, which a process may raise.
        (1024, 2000, 2, "900 1024 False\n"),
        (256, 2000, 512, "900 1064 False\n"),
        (256, 256, 2, "208 256 True\n"),
        (64, 64, 2, "16 64 True\n"),
    ],
)
def test_connections_follow_from_the_limit_of_open_files(soft: int, hard: int, workers: int, expected: str) -> None:
    assert run("python", "-c", CODE, str(soft), str(hard), str(workers), settings={}).stdout == expected


@pytest.mark.parametrize(("limit", "workers", "least"), [(63, 2, 64), (64, 20, 80)])
def test_a_limit_of_files_that_is_too_low_is_one_line(limit: int, workers: int, least: int) -> None:
    started = run("python", "-c", CODE, str(limit), str(limit), str(workers), settings={})
    expected = f"Error: the limit of open files (ulimit -n) is {limit}: at least {least} are needed\n"
    assert (started.returncode, started.stderr) == (1, expected)

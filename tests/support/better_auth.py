"""A server with the real Better Auth, as a frontend runs it, and users who sign up there."""

import http.client
import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

from tests.support.commands import ROOT, free_port
from tests.support.databases import SECRET

FOLDER = ROOT / "tests" / "better_auth"


def find_missing() -> str | None:
    """Return why Better Auth cannot run here, or None."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return "Better Auth needs Node.js 20 with npm, which is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < 20:
        return f"Better Auth needs Node.js 20; this is {version.strip()}"
    return None


def install() -> None:
    """Install Better Auth from its lock file, unless it is installed."""
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, timeout=300)


@dataclass
class BetterAuth:
    """A Better Auth server. Its database keeps users, sessions and keys across restarts."""

    database_url: str
    algorithm: str = "EdDSA"
    rotation_seconds: int | None = None
    path: str = "/api/auth"
    jwks_path: str = "/jwks"
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Run the server for the duration of a with statement."""
        options = {
            "port": self.port,
            "databaseUrl": self.database_url,
            "secret": SECRET,
            "algorithm": self.algorithm,
            "rotationSeconds": self.rotation_seconds,
            "path": None if self.path == "/api/auth" else self.path,
            "jwksPath": self.jwks_path,
        }
        command = ["node", "server.mjs", json.dumps(options)]
        server = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()
            server.communicate()

    def call(self, method: str, path: str, body: Any = None, cookie: str = "") -> tuple[http.client.HTTPMessage, Any]:
        """Return the headers and the body of a response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Origin": self.url, "Content-Type": "application/json", "Cookie": cookie}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        connection.close()
        return response.headers, answer

    def sign_up(self, name: str) -> "Person":
        """Create an account and sign in."""
        email = f"{name}-{secrets.token_hex(4)}@example.com"
        body = {"email": email, "password": secrets.token_hex(16), "name": name}
        headers, answer = self.call("POST", f"{self.path}/sign-up/email", body)
        cookies: SimpleCookie = SimpleCookie()
        for line in headers.get_all("Set-Cookie", []):
            cookies.load(line)
        return Person(self, answer["user"]["id"], {name: cookie.value for name, cookie in cookies.items()})

    def mails(self) -> list[str]:
        """Return the tokens in the links of the mails that the server sent."""
        return list(self.call("GET", "/mails")[1])


@dataclass
class Person:
    """A user who is signed in."""

    auth: BetterAuth
    user_id: str
    cookies: dict[str, str]

    def get_token(self) -> str:
        """Return a new token, as a frontend requests it."""
        cookie = f"better-auth.session_token={self.cookies['better-auth.session_token']}"
        return str(self.auth.call("GET", f"{self.auth.path}/token", cookie=cookie)[1]["token"])

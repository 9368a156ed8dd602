"""A JWKS endpoint for tests, and the keys that it lists."""

import secrets
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from werkzeug.test import TestResponse

from tests.support.callers import read_problem
from todo.auth.jwks.cache import PAUSE_SECONDS

ISSUER = "http://localhost:3000"
MAKE_KEY: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
}


class SigningKey:
    """A key pair in Better Auth's form, which signs tokens and can be listed."""

    def __init__(self, algorithm: str = "EdDSA", make: Callable[[], Any] | None = None) -> None:
        self.algorithm = algorithm
        self.kid = secrets.token_urlsafe(24)
        self._private_key = (make or MAKE_KEY[algorithm])()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key with the fields that Better Auth lists."""
        return self._list(self._private_key.public_key())

    @property
    def private_jwk(self) -> dict[str, Any]:
        """The public and the private key, which no endpoint should list."""
        return self._list(self._private_key)

    def _list(self, key: Any) -> dict[str, Any]:
        listed: Any = get_default_algorithms()[self.algorithm].to_jwk(key, as_dict=True)
        return {name: listed[name] for name in listed if name not in {"key_ops", "use"}} | {
            "alg": self.algorithm,
            "kid": self.kid,
        }

    def sign(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token. None leaves a claim or a header field out."""
        now = int(time.time())
        claims = {"sub": "somebody", "iat": now, "exp": now + 900, "iss": ISSUER, "aud": ISSUER, **claims}
        headers = {"kid": self.kid, "typ": "", **(headers or {})}
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self._private_key,
            self.algorithm,
            {name: value for name, value in headers.items() if value is not None},
        )


KEY, NEW_KEY = SigningKey(), SigningKey()


class KeyServer:
    """Respond to each request with ``answer`` after ``delay`` seconds, and record the paths."""

    def __init__(self, *keys: SigningKey, port: int = 0, certificate: Path | None = None) -> None:
        self.keys = list(keys)
        self.delay = 0.0
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.list_keys
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), make_handler(self))
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        origin = "http://127.0.0.1" if certificate is None else "https://localhost"
        self.url = f"{origin}:{self.port}/api/auth/jwks"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def list_keys(self, request: BaseHTTPRequestHandler) -> None:
        respond(request, orjson.dumps({"keys": [key.jwk for key in self.keys]}))


def respond(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def make_handler(server: KeyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            time.sleep(server.delay)
            with suppress(ConnectionError):
                server.answer(self)

        def log_message(self, *_: object) -> None: ...

    return Handler


Ask = Callable[..., TestResponse]


def read_unavailable(response: TestResponse) -> dict[str, Any]:
    assert 1 <= int(response.headers["Retry-After"]) <= PAUSE_SECONDS
    return read_problem(response, 503)


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

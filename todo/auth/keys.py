"""One look at a JWKS endpoint (RFC 7517): what it answers, and the keys in it that can verify tokens."""

import json
import logging
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR, socket
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

from jwt import PyJWK
from jwt.exceptions import PyJWTError

log = logging.getLogger(__name__)

# A thousand keys, more or less.
MAX_BYTES = 512 * 1024

# The algorithms of Better Auth's jwt plugin by the type and curve of a key: before version 1.3 a key does not say.
ALGORITHMS = {
    ("OKP", "Ed25519"): ("EdDSA",),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "PS256"),
}
JWKS_ALGORITHMS = tuple(algorithm for algorithms in ALGORITHMS.values() for algorithm in algorithms)

# Public keys by their id, and then by the algorithms each may be used with.
Keys = Mapping[str, Mapping[str, PyJWK]]


def download(url: str, seconds: float) -> bytes:
    """Return what the URL answers; raises OSError or ValueError. Redirects are not followed.

    A socket's timeout bounds only each wait for the next bytes, so once connected, a clock hangs up.
    """
    address = urlsplit(url)
    connect = HTTPSConnection if address.scheme == "https" else HTTPConnection
    with closing(connect(address.hostname or "", address.port, timeout=seconds)) as connection:
        connection.connect()
        clock = Timer(seconds, _hang_up, [connection.sock])
        clock.daemon = True
        clock.start()
        try:
            path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
            connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "todo"})
            response = connection.getresponse()
            if response.status != 200:
                redirects = " and redirects are not followed" if 300 <= response.status < 400 else ""
                raise ValueError(f"it answers {response.status}{redirects}")
            body = response.read(MAX_BYTES + 1)
        except HTTPException as error:  # Whose text is what the endpoint sent.
            raise ValueError(f"it does not answer in HTTP, or not in time ({type(error).__name__})") from None
        finally:
            clock.cancel()
    if len(body) > MAX_BYTES:
        raise ValueError(f"it answers with more than {MAX_BYTES} bytes")
    return body


def _hang_up(sock: socket) -> None:
    with suppress(OSError):
        sock.shutdown(SHUT_RDWR)


def read_keys(body: bytes) -> Keys:
    """Return the usable keys of a JWKS by id and algorithm; raises ValueError if it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"keys": list(listed)}:
            pass
        case _:
            raise ValueError('it answers with something else than a JWKS: {"keys": […]}')
    keys = {jwk["kid"]: found for jwk in listed if (found := read_key(jwk))}
    if listed and not keys:
        log.warning("None of the %d keys in the JWKS can be used: the algorithms are %s.", len(listed), JWKS_ALGORITHMS)
    return keys


def read_key(jwk: Any) -> dict[str, PyJWK]:
    """Return a public key by each algorithm it may be used with; empty if it cannot verify Better Auth's tokens.

    A key that says its private half (RFC 7517 section 4, RFC 8037 section 2) is everybody's: worth nothing.
    """
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or "d" in jwk or jwk.get("use", "sig") != "sig":
        return {}
    key_type, curve, algorithm = (jwk.get(name) for name in ("kty", "crv", "alg"))
    possible = ALGORITHMS.get((str(key_type), None if key_type == "RSA" else str(curve)), ())
    try:
        keys = {name: PyJWK(jwk, name) for name in possible if algorithm in {None, name}}
    except (PyJWTError, ValueError, TypeError):
        return {}
    return {name: key for name, key in keys.items() if key.Algorithm.check_key_length(key.key) is None}

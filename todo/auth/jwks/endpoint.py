"""One look at a JWKS endpoint (RFC 7517): what it answers, and the keys in it that can verify tokens."""

import json
import logging
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR, socket
from threading import Event, Timer
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

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

# Public keys by their id, and then by the algorithms each may be used with.
KeySet = Mapping[str, Mapping[str, PyJWK]]


def download(url: str, seconds: float) -> bytes:
    """Return what the URL answers; raises OSError or ValueError. Redirects are not followed.

    A socket's timeout bounds only each wait for the next bytes, so once connected, a clock hangs up.
    """
    address = urlsplit(url)
    connect = HTTPSConnection if address.scheme == "https" else HTTPConnection
    # Without a port, http.client would look for one in an IPv6 address.
    port = address.port or connect.default_port
    body = bytearray(MAX_BYTES + 1)
    with closing(connect(address.hostname or "", port, timeout=seconds)) as connection:
        connection.connect()
        late = Event()
        clock = Timer(seconds, hang_up, [connection.sock, late])
        clock.daemon = True
        clock.start()
        try:
            path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
            connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "todo"})
            response = connection.getresponse()
            if response.status != 200:
                redirects = " and redirects are not followed" if 300 <= response.status < 400 else ""
                raise ValueError(f"it answers {response.status}{redirects}")
            # Into a buffer, since http.client lets a chunk say that it has -1 bytes, and then reads without end.
            del body[response.readinto(body) :]
        except TimeoutError:
            raise ValueError("it does not answer in time") from None
        except HTTPException as error:  # Whose text is what the endpoint sent.
            raise ValueError(f"it does not answer in HTTP, or not in time ({type(error).__name__})") from None
        finally:
            clock.cancel()
    if late.is_set():
        raise ValueError("it does not answer in time")
    if len(body) > MAX_BYTES:
        raise ValueError(f"it answers with more than {MAX_BYTES} bytes")
    return bytes(body)


def hang_up(sock: socket, late: Event) -> None:
    """End a connection that takes too long.

    By the plain socket's method: an SSLSocket's own puts encryption aside first, and whoever is reading at that moment
    would take what comes in clear.
    """
    late.set()
    with suppress(OSError):
        socket.shutdown(sock, SHUT_RDWR)


def read_keys(body: bytes) -> KeySet:
    """Return the usable keys of a JWKS by id and algorithm; raises ValueError if it is not a JWKS."""
    try:
        # As floats, numbers may have any length; none means anything here.
        document = json.loads(body, parse_int=float)
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"keys": list(listed)}:
            pass
        case _:
            raise ValueError('it answers with something else than a JWKS: {"keys": […]}')
    keys: dict[str, dict[str, PyJWK]] = {}
    for jwk in listed:
        if found := read_key(jwk):
            keys.setdefault(jwk["kid"], {}).update(found)
    if listed and not keys:
        log.warning("None of the %d keys in the JWKS can be used: the algorithms are %s.", len(listed), JWKS_ALGORITHMS)
    return keys


def read_key(jwk: Any) -> dict[str, PyJWK]:
    """Return a public key by each algorithm it may be used with; empty if it cannot verify Better Auth's tokens.

    A key that says its private half (RFC 7518 section 6, RFC 8037 section 2) is everybody's: worth nothing.
    """
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or PRIVATE_MEMBERS & jwk.keys():
        return {}
    key_type, curve, algorithm, use = (jwk.get(name) for name in ("kty", "crv", "alg", "use"))
    possible = ALGORITHMS.get((str(key_type), None if key_type == "RSA" else str(curve)), ())
    try:
        keys = {name: PyJWK(jwk, name) for name in possible if algorithm in {None, name} and use in {None, "sig"}}
    except (PyJWTError, ValueError, TypeError):
        return {}
    return {name: key for name, key in keys.items() if key.Algorithm.check_key_length(key.key) is None}

"""Downloads a JWKS (RFC 7517) and reads the keys in it that can verify tokens."""

import json
import logging
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, parse_headers
from socket import SHUT_RDWR, socket
from threading import Event, Timer
from typing import Any
from urllib.parse import urlsplit

from jwt import PyJWK
from jwt.exceptions import PyJWTError

log = logging.getLogger(__name__)

# About a thousand keys.
MAX_BYTES = 512 * 1024

# The algorithms of Better Auth's jwt plugin, by key type and curve: before version 1.3, keys have no "alg".
ALGORITHMS = {
    ("OKP", "Ed25519"): ("EdDSA",),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "PS256"),
}
JWKS_ALGORITHMS = tuple(algorithm for algorithms in ALGORITHMS.values() for algorithm in algorithms)

PRIVATE_PARAMETERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

# Public keys by their id, and then by the algorithms each may be used with.
KeySet = Mapping[str, Mapping[str, PyJWK]]


class FinalResponse(HTTPResponse):
    """A response without the interim ones before it (RFC 9110 section 15.2), such as 103; http.client skips only 100.

    When Python is updated, compare HTTPResponse.begin() with the version before.
    """

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while 101 < status < 200:
            parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason


def download(url: str, seconds: float) -> bytes:
    """Return the body of the response; raises OSError or ValueError. Redirects are not followed.

    A socket's timeout limits only each wait for bytes, so a timer closes a connection that takes too long in total.
    """
    address = urlsplit(url)
    connect = HTTPSConnection if address.scheme == "https" else HTTPConnection
    # If the port is None, http.client looks for one in the host name, and an IPv6 address has colons.
    port = address.port or connect.default_port
    body = bytearray(MAX_BYTES + 1)
    with closing(connect(address.hostname or "", port, timeout=seconds)) as connection:
        connection.response_class = FinalResponse
        connection.connect()
        late = Event()
        timer = Timer(seconds, close_connection, [connection.sock, late])
        timer.daemon = True
        timer.start()
        try:
            path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
            connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "todo"})
            response = connection.getresponse()
            if response.status != 200:
                redirects = " and redirects are not followed" if 300 <= response.status < 400 else ""
                raise ValueError(f"it answers {response.status}{redirects}")
            # Into a buffer of limited size: http.client accepts a chunk of -1 bytes and then reads without end.
            del body[response.readinto(body) :]
        except OSError as error:
            # A connection that the timer has closed can also be reset: the endpoint may still be sending.
            if late.is_set() or isinstance(error, TimeoutError):
                raise ValueError("it does not answer in time") from None
            raise
        except HTTPException as error:  # Its message quotes what the endpoint sent.
            raise ValueError(f"it does not answer in HTTP, or not in time ({type(error).__name__})") from None
        finally:
            timer.cancel()
    if late.is_set():
        raise ValueError("it does not answer in time")
    if len(body) > MAX_BYTES:
        raise ValueError(f"it answers with more than {MAX_BYTES} bytes")
    return bytes(body)


def close_connection(sock: socket, late: Event) -> None:
    """Close a connection that takes too long.

    This uses the method of the plain socket. SSLSocket.shutdown() removes the encryption first, so a thread that reads
    at that moment would accept unencrypted bytes.
    """
    late.set()
    with suppress(OSError):
        socket.shutdown(sock, SHUT_RDWR)


def read_keys(body: bytes) -> KeySet:
    """Return the usable keys of a JWKS by id and algorithm; raises ValueError if it is not a JWKS."""
    try:
        # int() refuses very long numbers. No number matters here, so they are read as floats.
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

    A key that is published with its private parameters (RFC 7518 section 6, RFC 8037 section 2) is not trusted.
    """
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or PRIVATE_PARAMETERS & jwk.keys():
        return {}
    key_type, curve, algorithm, use = (jwk.get(name) for name in ("kty", "crv", "alg", "use"))
    possible = ALGORITHMS.get((str(key_type), None if key_type == "RSA" else str(curve)), ())
    try:
        keys = {name: PyJWK(jwk, name) for name in possible if algorithm in {None, name} and use in {None, "sig"}}
    except (PyJWTError, ValueError, TypeError):
        return {}
    return {name: key for name, key in keys.items() if key.Algorithm.check_key_length(key.key) is None}

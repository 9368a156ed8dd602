"""The connection to the JWKS: an attacker in between cannot add a key, and no response is read without limit."""

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.databases import Database, closing_pool
from tests.support.jwks_server import ISSUER, KEY, Ask, KeyServer, read_unavailable
from todo import create_app
from todo.auth.jwks.endpoint import close_connection


def make_certificate(folder: Path) -> Path:
    """A file with a key and a self-signed certificate for localhost."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "localhost.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form)
        + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_keys_come_over_tls_with_a_verified_certificate(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    headers = {"Authorization": f"Bearer {KEY.sign()}"}
    with KeyServer(KEY, certificate=certificate) as keys:
        for trusted, url, status in (
            (certificate, keys.url, 200),
            (certificate, keys.url.replace("localhost", "127.0.0.1"), 503),
            (Path("/dev/null"), keys.url, 503),
        ):
            monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
            with closing_pool(create_app(database.settings(jwks_url=url, auth_origin=ISSUER))) as app:
                assert app.test_client().get("/api/tasks", headers=headers).status_code == status


def test_a_closed_tls_connection_is_not_read_in_clear(tmp_path: Path) -> None:
    """A cut TLS connection must not become a connection that an attacker can write to."""
    certificate = make_certificate(tmp_path)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)
    client_side = ssl.create_default_context(cafile=certificate)
    ours, theirs = socket.socketpair()
    wire = theirs.dup()
    shake_hands = Thread(target=lambda: server_side.wrap_socket(theirs, server_side=True).detach())
    shake_hands.start()
    with client_side.wrap_socket(ours, server_hostname="localhost") as client, wire:
        shake_hands.join()
        client.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            client.recv(100)  # TLS 1.3 sends session tickets after the handshake.
        wire.sendall(b"in clear")
        close_connection(client, Event())
        with suppress(OSError):
            assert client.recv(100) == b""


def test_a_negative_chunk_size_does_not_read_without_end(keys: KeyServer, ask: Ask) -> None:
    sent = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"-1\r\n")
        while sent < 50_000_000:
            sent += request.connection.send(b"x" * 1_000_000)

    keys.answer = answer
    read_unavailable(ask())
    assert sent < 20_000_000

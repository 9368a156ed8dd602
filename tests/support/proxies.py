"""nginx and Caddy with the files of deploy/, with ports of this machine and a self-signed certificate."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from typing import NamedTuple

from tests.support.clusters import wait_until
from tests.support.commands import ROOT, free_port

NGINX, CADDY = (shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") for name in ("nginx", "caddy"))
AROUND = """
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    include {folder}/site.conf;
}}
"""


class Proxy(NamedTuple):
    """A running proxy."""

    port: int
    plain_port: int
    certificate: Path

    def connect(self) -> HTTPSConnection:
        context = create_default_context(cafile=str(self.certificate))
        return HTTPSConnection("localhost", self.port, timeout=10, context=context)


@contextmanager
def nginx(service_port: int, folder: Path, changes: Mapping[str, str] = {}) -> Iterator[Proxy]:
    """Run nginx in front of the service, with deploy/nginx.conf and further changes to it."""
    assert NGINX
    proxy = Proxy(free_port(), free_port(), make_certificate(folder))
    site = substitute(
        (ROOT / "deploy" / "nginx.conf").read_text(),
        {
            "    listen [::]:80": "    #",
            "    listen [::]:443": "    #",
            "listen 80": f"listen 127.0.0.1:{proxy.plain_port}",
            "listen 443 ": f"listen 127.0.0.1:{proxy.port} ",
            "/etc/todo/tls": str(folder),
            "/var/log/nginx": str(folder),
            "127.0.0.1:8000;": f"127.0.0.1:{service_port};",
            "todo.example.com": "localhost",
            **changes,
        },
    )
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.geteuid() == 0 else ""  # Otherwise the workers of nginx cannot enter the folder.
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    with running([NGINX, "-p", str(folder), "-c", "nginx.conf"], proxy, folder / "said.log"):
        yield proxy


@contextmanager
def caddy(service_port: int, folder: Path, changes: Mapping[str, str] = {}) -> Iterator[Proxy]:
    """Run Caddy in front of the service, with deploy/Caddyfile and further changes to it."""
    assert CADDY
    proxy = Proxy(free_port(), free_port(), make_certificate(folder))
    said = subprocess.run([CADDY, "version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", said)[:3])
    site = substitute(
        (ROOT / "deploy" / "Caddyfile").read_text(),
        {
            "todo.example.com {": f"https://localhost:{proxy.port} {{\n\ttls {proxy.certificate} {folder}/privkey.pem",
            "127.0.0.1:8000 {": f"127.0.0.1:{service_port} {{",
            **(OLD_CADDY if version < (2, 6, 3) else {}),
            **changes,
        },
    )
    configuration = folder / "Caddyfile"
    configuration.write_text(site.replace("{\n", "{\n\tadmin off\n\tauto_https disable_redirects\n", 1))
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with running(command, proxy, folder / "said.log", environment):
        yield proxy


OLD_CADDY = {"request_buffers 1MiB": "buffer_requests", "response_buffers 4MB": "buffer_responses"}
PROXIES = {"nginx": nginx, "caddy": caddy}
INSTALLED = {"nginx": NGINX, "caddy": CADDY}


def substitute(text: str, changes: Mapping[str, str]) -> str:
    """Replace parts of a configuration file. Each part must occur."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_certificate(folder: Path) -> Path:
    """Create a certificate for localhost at the path in the proxy's file."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "fullchain.pem"


@contextmanager
def running(command: list[str], proxy: Proxy, log: Path, environment: Mapping[str, str] = {}) -> Iterator[None]:
    """Run the proxy for the duration of a with statement. Its output goes to the log file."""
    with (
        log.open("w") as said,
        subprocess.Popen(command, env=os.environ | environment, stdout=said, stderr=said) as process,
    ):
        try:
            wait_until(lambda: accepts(proxy) or process.poll() is not None)
            assert process.poll() is None, f"{command[0]} does not start"
            yield
        finally:
            process.terminate()


def accepts(proxy: Proxy) -> bool:
    connection = proxy.connect()
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True

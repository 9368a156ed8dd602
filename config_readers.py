"""Readers of settings: each takes a variable's name and its text, and returns the value or raises SettingError."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from ipaddress import ip_address
from ssl import get_default_verify_paths
from typing import Any
from urllib.parse import urlsplit

from click import ClickException
from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm
from psycopg2 import DatabaseError, ProgrammingError, connect
from psycopg2.extensions import parse_dsn

Reader = Callable[[str, str], Any]

# Better Auth's defaults when no secret is set. They are public, so anyone can sign with them.
PUBLIC_SECRETS = {"better-auth-secret-12345678901234567890", "better-auth-secret-123456789"}
# Parameters of a database URL. https://www.postgresql.org/docs/current/libpq-connect.html
NUMBERS = {
    "connect_timeout", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout",
}  # fmt: skip
PLACE = {"host", "hostaddr", "port", "user", "password", "dbname"}
HOST_NAME = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
PATH_CHARACTER = r"[A-Za-z0-9._~!$&'()*+,;=:/%-]"  # RFC 3986 section 3.3


class SettingError(ClickException):
    """A setting is missing or invalid; the message names the variable and says what is allowed."""

    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")


def read_text(name: str, text: str) -> str:
    """Return the text without spaces around it."""
    return text.strip()


def integer_to(largest: int) -> Reader:
    """Return a reader of whole numbers from 1."""

    def read(name: str, text: str) -> int:
        text = text.strip()
        if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= largest:
            raise SettingError(name, f"is {text!r}: it must be a whole number from 1 to {largest}")
        return int(text)

    return read


def one_of(*words: str) -> Reader:
    """Return a reader of one of these words, in upper or lower case."""

    def read(name: str, text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise SettingError(name, f"is {word!r}: it must be {', '.join(words[:-1])} or {words[-1]}")
        return word

    return read


def read_database_url(name: str, text: str) -> str:
    """Return the URL in the form that libpq, PostgreSQL's client library, reads; messages quote no part of a password.

    The command ``psql 'postgresql://…'``, which Neon's console offers to copy, is accepted too.
    """
    pasted = re.fullmatch(r"""(?s)(?:psql\s+)?(['"]?)(.*)\1""", text.strip())
    found = re.fullmatch(r"(?i)postgres(?:ql)?(?:\+[a-z0-9]+)?://(.+)", pasted[2] if pasted else "")
    if found is None:
        raise SettingError(name, "is not a PostgreSQL URL: it must be like postgresql://user:password@host/db")
    url = f"postgresql://{found[1]}"
    # libpq takes the text before the first @ as user and password, unless there is a slash before it.
    place, _, query = re.sub(r"\A[^@/]*@", "", found[1]).partition("?")
    try:
        parts = {} if "@" in place or re.search(r"\s", url) else parse_dsn(url)
    except (ValueError, ProgrammingError):  # Their messages may quote the password.
        parts = {}
        if "@" not in query and (unknown := find_unknown_parameter(query)):
            advice = "write sslmode=require" if unknown == "ssl" else "remove it"
            raise SettingError(name, f"has the parameter {unknown}, which PostgreSQL does not know: {advice}") from None
    if not parts:
        raise SettingError(
            name,
            "is a PostgreSQL URL that cannot be read: in its user, password and parameters, write @ as %40, / as %2F,"
            " % as %25, a space as %20, and other special characters as %-escapes too",
        )
    if problem := find_parameter_problem(parts):
        raise SettingError(name, f"is a PostgreSQL URL that cannot be used: {problem}")
    return url


def find_unknown_parameter(query: str) -> str | None:
    """Return the first parameter of a URL's query that libpq does not know."""
    for parameter, value in re.findall(r"(?:\A|&)([A-Za-z_]+)=([^&]*)", query):
        try:
            parse_dsn(f"postgresql://?{parameter}={'true' if value == 'true' else 'x'}")  # It knows ssl=true only.
        except ProgrammingError:
            return str(parameter)
    return None


def find_parameter_problem(parts: dict[str, str]) -> str | None:
    """Return why libpq would refuse the values of these parameters."""
    hosts, addresses, ports = (parts.get(key, "").split(",") for key in ("host", "hostaddr", "port"))
    if not all(re.fullmatch(r"(?!0+$)[0-9]{1,5}|", port) and int(port or 1) < 65536 for port in ports):
        return "its port must be a number from 1 to 65535"
    if len(ports) not in {1, max(len(hosts), len(addresses))}:
        return "it must have one port, or one for each host"
    if "host" in parts and "hostaddr" in parts and len(hosts) != len(addresses):
        return "it must have as many values in hostaddr as in host"
    for key in NUMBERS & parts.keys():
        if not re.fullmatch(r"[0-9]{1,9}", parts[key]):
            return f"its parameter {key} must be a whole number"
    if parts.get("sslrootcert") == "system":
        if parts.get("sslmode", "verify-full") != "verify-full":
            return "sslrootcert=system needs sslmode=verify-full"
        if get_default_verify_paths().cafile is None:
            return "sslrootcert=system needs the certificates of the system: install ca-certificates"
    values = {key: value for key, value in parts.items() if key not in PLACE}
    if not are_accepted(values):
        wrong = [key for key, value in values.items() if not are_accepted({key: value})]
        return (
            f"PostgreSQL does not accept the value of its parameter {wrong[0]}" if wrong else "its parameters conflict"
        )
    return None


def are_accepted(values: dict[str, str]) -> bool:
    """Whether libpq accepts the values of these parameters: it checks all of them before it looks for the server."""
    parameters: dict[str, Any] = {**values, "host": "/nonexistent", "user": "nobody"}
    if parameters.get("gssencmode") == "require":  # Not possible on a socket.
        parameters["gssencmode"] = "prefer"
    try:
        connect(**parameters).close()
    except DatabaseError as error:
        return ".s.PGSQL." in str(error)
    return True


def read_secret(name: str, text: str) -> str:
    """Return the secret unchanged: spaces around it are part of it."""
    if text.strip() in PUBLIC_SECRETS:
        raise SettingError(name, "is Better Auth's public default, which anyone can sign with: set your own")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise SettingError(name, "is not text in UTF-8") from None
    if size < 32:
        raise SettingError(name, f"has {size} bytes: at least 32 are needed")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(text)
    except InvalidKeyError:
        raise SettingError(
            name, "is a public or private key, not a secret: give the text that Better Auth has"
        ) from None
    return text


def web_address(example: str, *, with_query: bool = False) -> Reader:
    """Return a reader of URLs that every program understands alike.

    It refuses a user, a password, a fragment, and characters that some programs drop or convert.
    """
    query = r"(?:\?[!-~]*)?" if with_query else ""
    form = rf"(?i:https?)://(?:{HOST_NAME}|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/{PATH_CHARACTER}*)?{query}"

    def read(name: str, text: str) -> str:
        try:
            address = urlsplit(text.strip())
            valid = re.fullmatch(form, text.strip()) and address.port != 0
            if ":" in str(address.hostname):
                ip_address(str(address.hostname))
        except ValueError:  # The port or the IPv6 address is invalid.
            valid = False
        if not valid:
            raise SettingError(name, f"is not a web address that can be used: it must look like {example}")
        return address.geturl()

    return read


def find_jwks_url(server: str) -> str:
    """Return where a Better Auth server publishes its keys: below its URL's path, or else below /api/auth."""
    address = urlsplit(server)
    return address._replace(path=f"{address.path.rstrip('/') or '/api/auth'}/jwks", query="").geturl()


def find_origin(url: str) -> str:
    """Return a web address's origin as browsers write it, without a default port."""
    address = urlsplit(url)
    host = str(address.hostname)
    host = f"[{ip_address(host)}]" if ":" in host else host
    port = "" if address.port in {None, {"http": 80, "https": 443}[address.scheme]} else f":{address.port}"
    return f"{address.scheme}://{host}{port}"


def read_origins(name: str, text: str) -> tuple[str, ...]:
    """Return comma-separated origins as browsers write them: in lower case, without a default port."""
    origins = []
    for origin in [each for part in text.split(",") if (each := part.strip().rstrip("/").lower())] or [text]:
        found = re.fullmatch(r"\*|([a-z][a-z0-9.+-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]))(?::([0-9]{1,5}))?", origin)
        if found is None or int(found[2] or 1) not in range(1, 65536):
            raise SettingError(
                name, f"has {origin!r}: each origin, between commas, must look like https://app.example.com, or be *"
            )
        port = "" if found[2] is None else f":{int(found[2])}"
        is_default = origin.partition(":")[0] + port in {"http:80", "https:443"}
        origins.append(origin if found[1] is None else found[1] + ("" if is_default else port))
    return tuple(origins)


def read_rate_limit(name: str, text: str) -> str | None:
    """Return a rate such as 600/minute; None for "off"."""
    text = text.strip()
    if text.lower() == "off":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8} ?/ ?(second|minute|hour|day)", text):
        raise SettingError(name, f"is {text!r}: it must be like 600/minute (second, hour, day), or off")
    return text


def read_redis_url(name: str, text: str) -> str:
    """Return the URL of a Redis server."""
    url = text.strip()
    if not re.match(r"rediss?://[^/\s]", url):
        raise SettingError(name, "is not the URL of a Redis: it must look like redis://host:6379")
    require_package(name, "redis", "redis")
    return url


def read_ip_address(name: str, text: str) -> str:
    """Return an IPv4 or IPv6 address."""
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        raise SettingError(name, f"is {text.strip()!r}: it must be an address such as 127.0.0.1 or 0.0.0.0") from None


def require_package(name: str, module: str, package: str) -> None:
    """Raise SettingError if a setting needs an optional package that is not installed."""
    if find_spec(module) is None:
        raise SettingError(name, f"needs a package that is not installed: pip install {package}")

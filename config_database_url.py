"""Reads the URL of the database as libpq does, PostgreSQL's client library. Messages quote no part of a password."""

import os
import re
from ssl import get_default_verify_paths
from typing import Any

from psycopg2 import DatabaseError, ProgrammingError, connect
from psycopg2.extensions import parse_dsn

# Parameters of a database URL. https://www.postgresql.org/docs/current/libpq-connect.html
NUMBERS = {
    "connect_timeout", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout",
}  # fmt: skip
PLACE = {"host", "hostaddr", "port", "user", "password", "dbname"}


class InvalidUrl(ValueError):
    """The text is no URL that libpq can use; the message says why, after the name of the setting."""


def clean_url(text: str) -> str:
    """Return the URL in the form that libpq reads; raises InvalidUrl.

    The command ``psql 'postgresql://…'``, which Neon's console offers to copy, is accepted too.
    """
    pasted = re.fullmatch(r"""(?s)(?:psql\s+)?(['"]?)(.*)\1""", text.strip())
    found = re.fullmatch(r"(?i)postgres(?:ql)?(?:\+[a-z0-9]+)?://(.+)", pasted[2] if pasted else "")
    if found is None:
        raise InvalidUrl("is not a PostgreSQL URL: it must be like postgresql://user:password@host/db")
    url = f"postgresql://{found[1]}"
    # libpq takes the text before the first @ as user and password, unless there is a slash before it.
    place, _, query = re.sub(r"\A[^@/]*@", "", found[1]).partition("?")
    try:
        parts = {} if "@" in place or re.search(r"\s", url) else parse_dsn(url)
    except (ValueError, ProgrammingError):  # Their messages may quote the password.
        parts = {}
        if "@" not in query and (unknown := find_unknown_parameter(query)):
            advice = "write sslmode=require" if unknown == "ssl" else "remove it"
            raise InvalidUrl(f"has the parameter {unknown}, which PostgreSQL does not know: {advice}") from None
    if not parts:
        raise InvalidUrl(
            "is a PostgreSQL URL that cannot be read: in its user, password and parameters, write @ as %40, / as %2F,"
            " % as %25, a space as %20, and other special characters as %-escapes too"
        )
    if problem := find_parameter_problem(parts):
        raise InvalidUrl(f"is a PostgreSQL URL that cannot be used: {problem}")
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


def list_unencrypted_hosts(url: str) -> list[str]:
    """Return the hosts to which libpq would also connect without encryption."""
    parts = parse_dsn(url)
    default = "verify-full" if parts.get("sslrootcert") == "system" else os.environ.get("PGSSLMODE", "prefer")
    if parts.get("sslmode", default) not in {"disable", "allow", "prefer"} or parts.get("gssencmode") == "require":
        return []
    hosts: str = parts.get("hostaddr") or parts.get("host") or os.environ.get("PGHOST", "")
    return hosts.split(",")


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

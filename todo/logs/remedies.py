"""What to do about a database that cannot be reached or used: a sentence for each cause."""

import re

import psycopg2
from flask import has_app_context

from todo.extensions import current_settings

URL = "NEON_DB_URL or DATABASE_URL"
# Messages of libpq and of the server about a connection that was not made. The first that fits counts.
# https://github.com/postgres/postgres/blob/REL_18_STABLE/src/interfaces/libpq/fe-connect.c
REFUSED = (
    (r"Connection refused", f"No server listens there: start it, or correct the host and the port in {URL}."),
    (
        r"could not translate host name",
        f"This host is not known: correct it in {URL}, or check the network of this machine.",
    ),
    (
        r'database ".*" does not exist',
        f"Correct the name of the database at the end of {URL}, or create it by CREATE DATABASE.",
    ),
    (
        r'(password|SASL) authentication failed|no such user|no password supplied|role ".*" does not exist',
        f"The user or the password is wrong: correct them in {URL}, with special characters as %-escapes (@ is %40).",
    ),
    (
        r"does not support SSL",
        f"The server has no TLS: set it up there, or on a private network, write sslmode=disable in {URL}.",
    ),
    (
        r"no pg_hba\.conf entry",
        f"The server does not admit this user: add a line to its pg_hba.conf, or for TLS, sslmode=require to {URL}.",
    ),
    (r"SSL off|SSL required|insecure", f"The server wants TLS: add sslmode=require to {URL}."),
    (r"client certificate", f"The server wants a certificate of the client: add sslcert and sslkey to {URL}."),
    (
        r"certificate",
        f"The server's certificate is not accepted: set sslrootcert, or correct the host, in {URL}.",
    ),
    (
        r"timeout expired|timed out|did not answer|No route to host|Network is unreachable",
        f"Nothing answers there: check the host and the port in {URL}, firewalls, and the server's allowed addresses.",
    ),
    (
        r"too many clients|too many connections|connection slots",
        "The server has no free connection: end others, or lower THREADS and WEB_CONCURRENCY.",
    ),
    (r"starting up|shutting down|recovery", "The server starts or stops: wait some seconds."),
    (
        r"invalid response to SSL|server closed the connection|expected authentication request",
        f"What listens there may be no PostgreSQL: correct the port in {URL}.",
    ),
    (r"No such file or directory", f"No server has this socket: start it, or write the host in {URL}."),
)
# SQLSTATEs of statements.
FAILED = {
    "3F000": "The database is not migrated: run flask db upgrade.",
    "42P01": "The database is not migrated: run flask db upgrade.",
    "42703": "The database is not migrated: run flask db upgrade.",
    "22023": "The database is not migrated: run flask db upgrade.",
    "42501": f"The user in {URL} lacks a right: migrate as the owner of the database, and GRANT todo_app TO the user.",
    "25006": f"The server is a read-only replica: write the host of the primary in {URL}.",
}


def find_remedy(error: BaseException | None) -> str | None:
    """Return what to do about an error of the driver or of the database; None if it is not known."""
    if not isinstance(error, psycopg2.Error):
        return None
    if error.pgcode is not None:
        return FAILED.get(error.pgcode)
    message = " ".join(str(error).split())
    # Other messages are about a connection that was lost, or the embedded PostgreSQL, whose messages say what to do.
    if not message.startswith(("connection to server", "could not translate host name", "The database did not answer")):
        return None
    remedy = next((remedy for pattern, remedy in REFUSED if re.search(pattern, message)), None)
    if remedy and has_app_context() and current_settings().database_url == current_settings().migration_database_url:
        return remedy.replace(URL, "MIGRATION_DATABASE_URL")  # A command of the owner (wsgi.py).
    return remedy

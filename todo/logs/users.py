"""How a user is called in the log: told apart, not named, unless a setting says so."""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

from config import Settings

NAME_BYTES = 6
REMEMBERED = 4096


def hash_user(settings: Settings, user_id: str) -> str:
    """Return what stands for a user: the same in every process and on every machine with the same secret.

    Without the shared secret there is no key, and whoever guesses an id can confirm it.
    """
    key = (settings.better_auth_secret or "").encode()[:64]  # As much as the hash takes.
    return blake2b(user_id.encode(), digest_size=NAME_BYTES, key=key, person=b"todo.logs").hexdigest()


def make_naming(settings: Settings) -> Callable[[str], str] | None:
    """Return how users are called, as LOG_USERS says; None if they are not to be told apart."""
    if settings.log_users == "off":
        return None
    if settings.log_users == "plain":
        return str
    return lru_cache(REMEMBERED)(lambda user_id: hash_user(settings, user_id))

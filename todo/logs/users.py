"""Names of users in the log: by default a hash, so that the log does not identify them."""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

from config import Settings

NAME_BYTES = 6
CACHE_SIZE = 4096


def hash_user(settings: Settings, user_id: str) -> str:
    """Return a user's name in the log; it is the same on every machine with the same BETTER_AUTH_SECRET.

    The secret is the key of the hash. Without one, a person who guesses a user's id can confirm it.
    """
    key = (settings.better_auth_secret or "").encode()[:64]  # The longest key that blake2b takes.
    return blake2b(user_id.encode(), digest_size=NAME_BYTES, key=key, person=b"todo.logs").hexdigest()


def make_user_namer(settings: Settings) -> Callable[[str], str] | None:
    """Return the function from user id to name for LOG_USERS; None if the log has no users."""
    if settings.log_users == "off":
        return None
    if settings.log_users == "plain":
        return str
    return lru_cache(CACHE_SIZE)(lambda user_id: hash_user(settings, user_id))

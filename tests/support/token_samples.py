"""Genuine tokens of Better Auth and forged tokens, each with the settings to verify it with."""

import base64
import json
from typing import Any, NamedTuple

from config import Settings
from tests.support.commands import ROOT

DATA = json.loads((ROOT / "tests" / "data" / "better_auth_tokens.json").read_text())
VECTORS: list[dict[str, Any]] = DATA["vectors"]
HEADER_FORMS: list[dict[str, Any]] = DATA["header_forms"]


class Configuration(NamedTuple):
    """The settings for a Better Auth server. ``jwks`` is JSON text, ``stale_jwks`` the JWKS before a key rotation."""

    secret: str | None
    jwks: str | None
    stale_jwks: str | None
    issuer: str | None
    audience: str | None

    def settings(self, database_url: str, jwks_url: str) -> Settings:
        """Return the settings of the service, as read from the environment."""
        environment = {
            "NEON_DB_URL": database_url,
            "BETTER_AUTH_SECRET": self.secret,
            "JWKS_URL": jwks_url if self.jwks else None,
            "JWT_ISSUER": self.issuer,
            "JWT_AUDIENCE": self.audience,
        }
        return Settings.read({name: value for name, value in environment.items() if value is not None})


def find_configuration(vector: dict[str, Any]) -> Configuration:
    jwks, stale_jwks = (json.dumps(vector[name]) if name in vector else None for name in ("jwks", "jwks_stale"))
    return Configuration(vector.get("secret"), jwks, stale_jwks, vector.get("issuer"), vector.get("audience"))


CONFIGURATIONS = list(dict.fromkeys(map(find_configuration, VECTORS)))


def read_token(vector: dict[str, Any]) -> str:
    """Return the token. A token that is too large for the file is generated."""
    if "generate" not in vector:
        return str(vector["token"])
    repeated, times, inside, end = vector["generate"]["header_repeat"]
    header = repeated * times + inside + end * times
    return base64.urlsafe_b64encode(header.encode()).decode().rstrip("=") + ".e30.AAAA"


def find_user_id(vector: dict[str, Any]) -> str | None:
    """Return the user id that the service finds in the token, or None if it refuses the token."""
    accepted = vector["expect"]["status"] == 200 and vector["kind"] != "better-auth-optional"
    return str(vector["expect"]["user_id"]) if accepted else None

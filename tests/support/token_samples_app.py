"""The service under each of the specimens' configurations, in one gunicorn: the Host header says which."""

import os
from typing import Any

from tests.support.token_samples import CONFIGURATIONS
from todo import create_app

apps = [
    create_app(configuration.settings(os.environ["SPECIMENS_DATABASE_URL"], f"{os.environ['SPECIMENS_JWKS']}/{number}"))
    for number, configuration in enumerate(CONFIGURATIONS)
]


def app(environ: dict[str, Any], start_response: Any) -> Any:
    name, _, domain = environ["HTTP_HOST"].partition(".")
    return apps[int(name) if domain == "specimens" else 0](environ, start_response)

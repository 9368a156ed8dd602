"""One WSGI application for all configurations of the token samples. The Host header selects one."""

import os
from typing import Any

from tests.support.token_samples import CONFIGURATIONS
from todo import create_app

apps = [
    create_app(configuration.settings(os.environ["SAMPLES_DATABASE_URL"], f"{os.environ['SAMPLES_JWKS']}/{number}"))
    for number, configuration in enumerate(CONFIGURATIONS)
]


def app(environ: dict[str, Any], start_response: Any) -> Any:
    name, _, domain = environ["HTTP_HOST"].partition(".")
    return apps[int(name) if domain == "samples" else 0](environ, start_response)

"""The generators, with the commands of docs/clients.md."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
DOCUMENT = "../../docs/openapi.json"
GENERATED = ".generated"


@cache
def read_version(package: str) -> str:
    """Return the pinned version of a package of npm or PyPI."""
    packages: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["devDependencies"]
    if package in packages:
        return packages[package]
    pins = (FOLDER / "requirements.txt").read_text()
    found = re.search(rf"^{re.escape(package)}(?:\[\w+\])?==(\S+)", pins, re.MULTILINE)
    assert found, f"{package} is not pinned"
    return found[1]


@dataclass(frozen=True)
class Generator:
    """A generator, the command that runs it, and the program that tries its client.

    ``command`` has ``{document}`` and ``{output}`` for the two paths, unless a file of settings has them. ``code`` is
    what it writes, in the folder of generated code, and ``trial`` a program in the folder trials.
    """

    name: str
    package: str
    command: str
    code: str
    trial: str

    @property
    def arguments(self) -> list[str]:
        return self.command.format(document=DOCUMENT, output=GENERATED).split()

    @property
    def suffix(self) -> str:
        """The suffix of its language."""
        return Path(self.trial).suffix

    def owns(self, message: str) -> bool:
        """Return whether a compiler's message is about this client."""
        return message.startswith((f"{GENERATED}/{self.code}", f"trials/{self.trial}", f"trials/steps{self.suffix}"))


GENERATORS = [
    Generator(
        "openapi-typescript",
        "openapi-typescript",
        "openapi-typescript {document} --output {output}/openapi-fetch/schema.ts",
        "openapi-fetch",
        "openapi-fetch.ts",
    ),
    Generator("hey-api", "@hey-api/openapi-ts", "openapi-ts --file openapi-ts.config.mjs", "hey-api", "hey-api.ts"),
    Generator("orval", "orval", "orval --config orval.config.mjs", "orval", "orval.ts"),
    Generator(
        "openapi-generator: typescript-fetch",
        "openapi-generator-cli",
        "openapi-generator-cli generate -i {document} -g typescript-fetch -o {output}/typescript-fetch",
        "typescript-fetch",
        "typescript-fetch.ts",
    ),
    Generator(
        "openapi-generator: python",
        "openapi-generator-cli",
        "openapi-generator-cli generate -i {document} -g python -o {output}/python"
        " -p packageName=todo_openapi_generator",
        "python/todo_openapi_generator",
        "openapi_generator.py",
    ),
    Generator(
        "openapi-python-client",
        "openapi-python-client",
        "openapi-python-client generate --path {document} --meta none --fail-on-warning"
        " --output-path {output}/python/todo_openapi_python_client",
        "python/todo_openapi_python_client",
        "openapi_python_client.py",
    ),
    Generator(
        "datamodel-code-generator",
        "datamodel-code-generator",
        "datamodel-codegen --input {document} --input-file-type openapi --preset standard-py311-20261027"
        " --output {output}/python/todo_models.py",
        "python/todo_models.py",
        "datamodel_code_generator.py",
    ),
]

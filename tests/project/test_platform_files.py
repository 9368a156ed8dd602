"""The files of the platforms have the commands that the proofs run, valid settings, and enough time to stop."""

import re
import subprocess

import pytest
import yaml
from flask import Flask

from config import Settings
from tests.support.commands import ROOT, SETTINGS
from tests.support.docker_files import read_compose, read_dockerfile
from tests.support.platform_files import Platform, read_platforms, read_procfile

PLATFORMS = read_platforms()
SERVE = next(each.words for each in read_dockerfile(ROOT / "Dockerfile") if each.name == "CMD")
MIGRATE = [*SERVE[:-1], "--migrate"]
# Of a service with the runtime docker. https://render.com/docs/blueprint-spec
RENDER = {
    "autoDeployTrigger", "branch", "buildFilter", "dockerCommand", "dockerContext", "dockerfilePath", "domains",
    "envVars", "healthCheckPath", "maxShutdownDelaySeconds", "name", "numInstances", "plan", "preDeployCommand",
    "previews", "region", "registryCredential", "repo", "rootDir", "runtime", "scaling", "type",
}  # fmt: skip
PASSWORDS = {"POSTGRES_PASSWORD": "p1", "TODO_OWNER_PASSWORD": "p2", "TODO_WEB_PASSWORD": "p3"}
PAGE = (ROOT / "docs" / "deploy-platforms.md").read_text()


@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=PLATFORMS)
def test_each_platform_migrates_before_it_serves(platform: Platform) -> None:
    assert (platform.migrate, platform.start) in ((MIGRATE, None), (None, [*MIGRATE, SERVE[-1]]))


@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=PLATFORMS)
def test_each_platform_has_the_settings_and_waits_for_a_stop(platform: Platform, app: Flask) -> None:
    assert set(platform.variables) <= set(SETTINGS)
    secrets = {name for name, value in platform.variables.items() if value is None}
    assert secrets == {"DATABASE_URL", "MIGRATION_DATABASE_URL", "BETTER_AUTH_URL", "CORS_ORIGINS"}
    given = {name: value for name, value in platform.variables.items() if value is not None}
    settings = Settings.read(given | {"BETTER_AUTH_URL": "https://you-todo.vercel.app"})
    assert settings.worker_seconds + 5 <= platform.stop_seconds
    assert app.test_client().get(platform.check).status_code == 200


def test_other_files_have_the_same_commands() -> None:
    assert read_procfile() == {"release": MIGRATE, "web": SERVE}
    assert read_compose(PASSWORDS)["services"]["migrate"]["command"] == MIGRATE
    assert " ".join([*MIGRATE, SERVE[-1]]) in read_compose({}, "compose.try.yaml")["services"]["todo"]["command"][-1]


@pytest.mark.parametrize("name", ["render.yaml", "deploy/render-free.yaml"])
def test_render_files_have_known_fields(name: str) -> None:
    [service] = yaml.safe_load((ROOT / name).read_text())["services"]
    assert set(service) <= RENDER
    free = service["plan"] == "free"
    assert not (free and {"preDeployCommand", "maxShutdownDelaySeconds", "numInstances"} & set(service))


def test_the_workflow_has_few_rights_and_exact_actions() -> None:
    text = (ROOT / ".github" / "workflows" / "image.yml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read", "packages": "write"}
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}|", step.get("uses", ""))
            # GitHub replaces expressions in commands before the shell reads them.
            assert "${{" not in step.get("run", "")


def test_commands_of_the_platforms_page_parse_and_name_settings() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    subprocess.run(["bash", "-n"], input="".join(blocks), text=True, check=True)
    assert set(re.findall(r"`python -m server[^`]*`", PAGE)) == {
        f"`{' '.join(command)}`" for command in (SERVE, MIGRATE, [*MIGRATE, SERVE[-1]])
    }

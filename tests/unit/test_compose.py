"""docker-compose.yml and Dockerfile: valid by the specification, no default password, no root, nothing published to the world."""

import json
import re
from typing import Any

import jsonschema
import pytest

from ichrisbirch_site.embedded import PROJECT
from ichrisbirch_site.environment import SECRETS
from tests import composed

SCHEMA = json.loads((PROJECT / "tests/compose_spec/compose-spec.json").read_text())
README = (PROJECT / "README.md").read_text()
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
SITE = {"web", "worker", "upkeep", "beat", "migrate", "bucket"}
ONCE = {"migrate", "bucket"}
OFFICIAL = {"postgres", "redis"}


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    return composed.read(ALLOWED_HOSTS="backups.example")


@pytest.fixture(scope="module")
def services(file: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = file["services"]
    return found


def errors_in(file: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(file)]


def test_the_file_is_valid_by_the_compose_specification(file: dict[str, Any]) -> None:
    assert errors_in(file) == []


def test_the_specification_s_schema_would_see_an_error(file: dict[str, Any]) -> None:
    web = file["services"]["web"]
    assert errors_in({**file, "services": {"web": {**web, "comand": ["gunicorn"]}}})
    assert errors_in({**file, "services": {"web": {**web, "depends_on": {"postgres": {"condition": "service_well"}}}}})


def test_all_parts_are_there(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == SITE | OFFICIAL | {"s3"}


def test_no_secret_has_a_default_and_none_is_in_the_environment(
    file: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    secret = re.compile("PASSWORD|SECRET|KEY|TOKEN")
    assert not [name for name, default in composed.variables().items() if secret.search(name) and default not in ("", "?")]
    for service in services.values():
        given = (
            {name: value for name, value in service["environment"].items() if secret.search(name)}
            if "environment" in service
            else {}
        )
        given = {name: value for name, value in given.items() if value}  # what may be left out is empty
        assert all(name.endswith("_FILE") for name in given)
        assert {value.removeprefix("/run/secrets/") for value in given.values()} <= set(service.get("secrets", []))
    assert all(given == {"file": f"secrets/{name}"} for name, given in file["secrets"].items())
    assert all(name.removesuffix("_FILE") in SECRETS for name in services["web"]["environment"] if name.endswith("_FILE"))


def test_every_secret_is_made_by_the_commands_of_the_readme(file: dict[str, Any]) -> None:
    commands = README.partition("mkdir -m 700 secrets")[2].partition("```")[0]
    assert commands
    assert set(file["secrets"]) <= set(re.findall(r"\w+", commands))


def test_every_service_is_confined(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        confined = service["read_only"], service["cap_drop"], service["security_opt"]
        assert confined == (True, ["ALL"], ["no-new-privileges:true"]), name
        assert "privileged" not in service


def test_no_service_runs_as_root(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if name in OFFICIAL:
            assert int(service["user"].partition(":")[0]) > 0, name
            assert service["image"].partition(":")[0] == name
        else:
            stage = re.split(r"^FROM .* AS ", DOCKERFILE, flags=re.MULTILINE)
            (own,) = [text for text in stage if text.startswith(f"{service['build']['target']}\n")]
            assert re.findall(r"^USER (\d+)", own, re.MULTILINE) == ["10001"], name


def test_every_image_is_of_a_version_that_is_named(services: dict[str, dict[str, Any]]) -> None:
    named = re.findall(r"^FROM (\S+) AS", DOCKERFILE, re.MULTILINE) + [services[name]["image"] for name in OFFICIAL]
    assert all(re.search(r":v?\d", image) for image in named)


def test_whatever_stays_up_has_a_health_check_and_comes_back(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert (name in ONCE) != ("healthcheck" in service), name
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name


def test_nothing_of_the_site_starts_before_the_migrations_are_done(services: dict[str, dict[str, Any]]) -> None:
    for name in SITE - ONCE:
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"]["bucket"]["condition"] == "service_completed_successfully"


def test_only_this_machine_can_reach_what_is_published(services: dict[str, dict[str, Any]], file: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"web"}
    assert all(port.startswith("127.0.0.1:") for port in published["web"])
    assert file["networks"]["inside"]["internal"]
    assert all(service["networks"] == ["inside"] for name, service in services.items() if name not in SITE)


def test_every_variable_that_it_asks_for_is_in_the_readme() -> None:
    assert not [name for name in composed.variables() if f"`{name}`" not in README]


def test_what_is_started_is_asked_for_by_name(services: dict[str, dict[str, Any]]) -> None:
    wanted = (PROJECT / "requirements.in").read_text()
    for program in {services[name]["command"][0] for name in SITE} - {"python"}:
        assert re.search(rf"^{program}\b", wanted, re.MULTILINE), program


def test_the_image_has_client_programs_of_every_supported_postgresql() -> None:
    assert re.findall(r"postgresql-client-(\d+)", DOCKERFILE) == ["14", "15", "16", "17", "18"]
    assert "signed-by=" in DOCKERFILE


def test_no_secret_gets_into_the_image_or_into_git() -> None:
    allowed = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert allowed == ["!requirements.txt", "!manage.py", "!templates", "!ichrisbirch_site", "!backups"]
    assert "*" in (PROJECT / ".dockerignore").read_text().splitlines()
    assert {"/.env", "/secrets/"} <= set((PROJECT / ".gitignore").read_text().splitlines())
    assert not re.search(r"(PASSWORD|SECRET\w*|_KEY)=", DOCKERFILE)

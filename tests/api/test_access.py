"""Who may do what: every operation of the schema, asked by everybody. One that is new and not in the table fails."""

import json
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.test import Client
from pytest_django.fixtures import Settings

from backups.api.schema import SETTINGS
from backups.models import AuditEntry
from ichrisbirch_site import openapi
from tests.api.conftest import JSON, Make, problem
from tests.integration.health import made

pytestmark = pytest.mark.usefixtures("history")

# By operation: the permission that it needs, the least scope of a token, and a body that can be meant.
NEEDS: dict[str, tuple[str, str, object]] = {
    "listBackups": ("view", "read", None),
    "makeBackup": ("run", "run", {"description": "x"}),
    "getBackup": ("view", "read", None),
    "getContents": ("view", "read", None),
    "diffBackups": ("view", "read", None),
    "verifyBackup": ("verify", "run", {}),
    "cancelBackup": ("run", "run", {}),
    "pinBackup": ("prune", "restore", {"reason": "x"}),
    "unpinBackup": ("prune", "restore", None),
    "downloadBackup": ("download", "restore", None),
    "restoreBackup": ("restore", "restore", {"target": "nowhere"}),
    "undoRestore": ("restore", "restore", {"confirm": "x"}),
    "cancelRestore": ("view", "read", {}),  # and what the kind of its run needs
    "listRestores": ("view", "read", None),
    "getRestore": ("view", "read", None),
    "listStorage": ("view", "read", None),
    "getHealth": ("view", "read", None),
}
SCOPES = ("read", "run", "restore")


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    paths = yaml.safe_load(openapi.FILE.read_text())["paths"]
    return [(path, method, told) for path, methods in paths.items() for method, told in methods.items()]


EACH = [pytest.param(*one, id=one[2]["operationId"]) for one in operations()]
OF_SOMETHING = [one for one in EACH if "{id}" in one.values[0]]
OPERATIONS = pytest.mark.parametrize(("path", "method", "told"), EACH)


def ask(client: Client, path: str, method: str, told: dict[str, Any], *, id: object = "") -> Any:
    url = path.replace("{id}", str(id or uuid4())).replace("{other}", str(uuid4()))
    body = NEEDS[told["operationId"]][2]
    given = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    return getattr(client, method)(url, **given)


def is_refused(response: Any) -> bool:
    return response.status_code in (401, 403) and response.json()["type"] != "urn:icb:problem:target-not-allowed"


def test_the_table_has_each_operation() -> None:
    assert {told["operationId"] for _path, _method, told in operations()} == set(NEEDS)


@OPERATIONS
def test_nobody_is_asked_who_he_is_and_it_is_noted(path: str, method: str, told: dict[str, Any]) -> None:
    problem(ask(Client(), path, method, told), 401, "not-authenticated")
    assert AuditEntry.objects.get().outcome == "refused"


@OPERATIONS
def test_staff_without_the_permission_is_refused_and_it_is_noted(
    staff: Make, path: str, method: str, told: dict[str, Any]
) -> None:
    needed = NEEDS[told["operationId"]][0]
    others = {"view", "run", "verify", "download", "restore", "prune"} - {needed}
    problem(ask(staff(*others), path, method, told), 403, "forbidden")
    entry = AuditEntry.objects.get()
    assert (entry.outcome, entry.actor.startswith("staff-")) == ("refused", True)


@OPERATIONS
def test_staff_with_just_the_permission_is_let_in(
    staff: Make, bucket: str, alive: None, path: str, method: str, told: dict[str, Any]
) -> None:
    assert not is_refused(ask(staff("view", NEEDS[told["operationId"]][0]), path, method, told))


@pytest.mark.parametrize(("path", "method", "told"), [one for one in OF_SOMETHING if NEEDS[one.id][0] != "view"])
def test_what_one_may_not_see_is_not_there_and_it_is_noted(staff: Make, path: str, method: str, told: dict[str, Any]) -> None:
    row = made("shop")
    problem(ask(staff(NEEDS[told["operationId"]][0]), path, method, told, id=row.id), 404, "not-found")
    entry = AuditEntry.objects.get()
    assert (entry.outcome, entry.detail) == ("refused", "The permission to view is missing.")


@OPERATIONS
@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_may_what_its_scope_says(
    bearer: Make, bucket: str, alive: None, scope: str, path: str, method: str, told: dict[str, Any]
) -> None:
    least = NEEDS[told["operationId"]][1]
    response = ask(bearer(scope), path, method, told)
    assert is_refused(response) == (SCOPES.index(scope) < SCOPES.index(least)), response.content


@OPERATIONS
def test_an_operation_says_what_it_is_and_shows_an_example(path: str, method: str, told: dict[str, Any]) -> None:
    assert told["summary"]
    assert "Needs the permission to" in told["description"]
    answers = {status: media for status, answer in told["responses"].items() for media in answer.get("content", {}).values()}
    succeeds = {status for status in answers if status < "300"} - {"201"}  # as 202, and later
    if told["operationId"] == "downloadBackup":  # bytes
        succeeds = {"404"}
    assert all("examples" in answers[status] for status in succeeds or {"none"})


@pytest.mark.parametrize(("path", "method", "told"), [one for one in EACH if NEEDS[one.id][2]])
def test_an_operation_that_takes_a_body_shows_one(path: str, method: str, told: dict[str, Any]) -> None:
    assert "examples" in told["requestBody"]["content"]["application/json"]


def test_the_schema_and_its_pages_are_for_who_may_view_and_come_from_this_site(staff: Make, admin_client: Client) -> None:
    schema = admin_client.get("/admin/backups/schema/", HTTP_ACCEPT="*/*")
    assert yaml.safe_load(schema.content)["openapi"] == SETTINGS["OAS_VERSION"]
    docs = admin_client.get("/admin/backups/docs/", HTTP_ACCEPT="text/html").content.decode()
    assert "drf_spectacular_sidecar/swagger-ui" in docs
    assert "https://" not in docs


@pytest.mark.parametrize("page", ["schema", "docs"])
def test_whoever_may_not_view_sees_no_description_and_it_is_noted(staff: Make, page: str) -> None:
    problem(staff().get(f"/admin/backups/{page}/", HTTP_ACCEPT="*/*"), 403, "forbidden")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.outcome, entry.actor.startswith("staff-")) == (page, "refused", True)


@pytest.mark.parametrize("page", ["schema", "docs"])
def test_the_description_is_asked_for_no_oftener_than_anything_else(settings: Settings, admin_client: Client, page: str) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"backups_read": "1/min"}}
    assert admin_client.get(f"/admin/backups/{page}/", HTTP_ACCEPT="*/*").status_code == 200
    problem(admin_client.get(f"/admin/backups/{page}/", HTTP_ACCEPT="*/*"), 429, "throttled")


def test_nobody_is_asked_who_he_is_before_he_sees_the_schema(client: Client) -> None:
    problem(client.get("/admin/backups/schema/", HTTP_ACCEPT="*/*"), 401, "not-authenticated")
    assert AuditEntry.objects.get().outcome == "refused"


def test_the_schema_in_the_documentation_is_the_api_s() -> None:
    assert openapi.made() == openapi.FILE.read_text()


@pytest.mark.parametrize("method", ["put", "patch", "options"])
def test_another_method_is_not_allowed(admin_client: Client, method: str) -> None:
    response = getattr(admin_client, method)("/admin/backups/")
    problem(response, 405, "method-not-allowed")
    assert response["Allow"] == "GET, HEAD, POST"


def test_whoever_has_no_token_is_told_how_to_come_by_one() -> None:
    assert "icb token create" in problem(Client(**JSON).get("/admin/backups/"), 401, "not-authenticated")["hint"]

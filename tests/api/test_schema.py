"""The API by its own description: schemathesis asks a real server, over a real PostgreSQL and S3 protocol, whatever the schema
allows and much that it does not. No answer may be a failure of the server, or one that the schema does not have.

Bounded and repeatable: EXAMPLES of each operation that fit, and as many that don't, the same each time; FEW where only address
and headers can differ.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from django.contrib.auth import get_user_model
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from knox.crypto import create_token_string, hash_token
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from backups.backup import DatabaseBackup
from backups.models import BackupHistory, BackupRestore, Heartbeat, Token
from backups.restore import DatabaseRestore
from backups.tokens import PREFIX
from backups.types import Server
from ichrisbirch_site import embedded, openapi
from tests.api.serving import served
from tests.conftest import drop_database
from tests.integration.health import made

EXAMPLES = 20
FEW = 5
CHECKED = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection"),
)


@dataclass
class Site:
    """The site in a process of its own, and what is there to be asked for."""

    url: str
    headers: dict[str, str]
    ids: dict[str, dict[str, str]] = field(default_factory=dict)  # by operation
    bodies: dict[str, Any] = field(default_factory=dict)  # that can be meant, by operation


@pytest.fixture
def site(
    environment: Callable[..., dict[str, str]], source: Server, bucket: str, history: None, tmp_path: Path
) -> Iterator[Site]:
    """gunicorn, with two backups and a restore that can be undone; workers seem to be alive."""
    one, other = (DatabaseBackup(description=name, database="source").run() for name in ("one", "other"))
    restored = DatabaseRestore(target=source, filename=one.filename, database="source", confirm=source.database).run()
    secret = PREFIX + create_token_string()
    user = get_user_model().objects.create_superuser("schemathesis")
    Token(user=user, name="t", scope="restore", digest=hash_token(secret), token_key=secret[:15]).save(force_insert=True)
    env = environment(source=source) | {
        "SECRET_KEY": "a secret of the tests " * 3,
        "ICB_FOLDER": str(tmp_path / "icb"),
        "BACKUPS_RESTORE_TARGETS": "source",
        "BACKUPS_CREATE_PER_MINUTE": "100000",
        "BACKUPS_READ_PER_MINUTE": "100000",
        "BACKUPS_MAX_RUNNING": "10000",
    }
    embedded.make_broker(env)
    with served(env, log=tmp_path / "gunicorn.log") as url:
        first = {"id": str(one.id)}
        of_one = ("getBackup", "getContents", "verifyBackup", "pinBackup", "unpinBackup", "downloadBackup", "restoreBackup")
        yield Site(
            url,
            {"Authorization": f"Bearer {secret}"},
            ids={
                **dict.fromkeys(of_one, first),
                "diffBackups": first | {"other": str(other.id)},
                **{name: {"id": str(restored.id)} for name in ("getRestore", "undoRestore")},
                "cancelBackup": {"id": str(made("waits", status="pending", started_at=None).id)},
                "cancelRestore": {"id": str(_waiting_restore().id)},
            },
            bodies={
                "makeBackup": {"description": "from the schema", "database": "source"},
                "verifyBackup": {},
                "cancelBackup": {},
                "cancelRestore": {},
                "pinBackup": {"reason": "before the audit"},
                "restoreBackup": {"target": "source", "dry_run": True},
                "undoRestore": {"confirm": source.database},
            },
        )
    drop_database(replace(source, database=restored.kept_database))


def test_whatever_is_asked_the_answer_is_one_of_the_schema_and_every_operation_is_reached(site: Site) -> None:
    schema = schemathesis.openapi.from_dict(yaml.safe_load(openapi.FILE.read_text()))
    checks = [CHECKS.get_one(name) for name in CHECKED]
    failures: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        name = str(operation.definition.raw["operationId"])
        Heartbeat.objects.update_or_create(name="queue:backups", defaults={"at": timezone.now()})
        try:
            _reach(site, operation, name, checks)
            answers = _flood(site, operation, name, checks)
            assert sum(answers.values()) >= _number(operation)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all that is wrong is told at once
            failures.append(f"{name}: {error}")
    assert not failures, "\n\n".join(failures)


def _reach(site: Site, operation: Any, name: str, checks: list[Any]) -> None:
    """The one request that must succeed."""
    _as_before(site)
    body = {"body": site.bodies[name], "media_type": "application/json"} if name in site.bodies else {}
    case = operation.Case(path_parameters=site.ids.get(name, {}), **body)
    response = case.call(base_url=site.url, headers=site.headers, allow_redirects=False)
    assert response.status_code < 400, response.text
    case.validate_response(response, checks=checks)


def _number(operation: Any) -> int:
    return EXAMPLES if operation.body or operation.query else FEW


def _as_before(site: Site) -> None:
    """What was queued by the request before is not in the way of this one; what can be stopped waits again."""
    known = {ids["id"] for ids in site.ids.values()}
    for rows in (BackupHistory.objects, BackupRestore.objects):
        rows.filter(status="pending").exclude(id__in=known).delete()
        rows.filter(id__in=known, status="cancelled").update(status="pending", cancel_requested_at=None, finished_at=None)


def _waiting_restore() -> BackupRestore:
    return BackupRestore.objects.create(
        purpose="restore", target_host="h", target_port=1, target_database="waits", target_environment="testing"
    )


def _flood(site: Site, operation: Any, name: str, checks: list[Any]) -> Counter[int]:
    answers: Counter[int] = Counter()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        # Of what is not there, all else that is wrong would be 404, too. Where only the address can be wrong, it is.
        is_there = name in site.ids and (mode is GenerationMode.POSITIVE or operation.body or operation.query)
        known = {"path_parameters": site.ids[name]} if is_there else {}

        @given(case=operation.as_strategy(generation_mode=mode, **known))
        @settings(
            max_examples=_number(operation),
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            _as_before(site)
            response = case.call(base_url=site.url, headers=site.headers, allow_redirects=False, timeout=30)
            answers[response.status_code] += 1
            if response.status_code in (414, 431):  # gunicorn's own: the address, or the headers, are too long for it
                return
            case.validate_response(response, checks=checks)

        ask()
    return answers

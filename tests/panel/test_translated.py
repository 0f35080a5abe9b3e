"""Every string of the panel can be translated: in a language that marks what it translates, nothing but data is left unmarked."""

import ast
import gettext
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import django
import django_celery_beat
import pytest
import rest_framework
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django.utils.translation import trans_real
from pytest_django.fixtures import Settings

from backups import conf, health, queued
from backups.audit import By, Channel, Outcome, note
from backups.models import AuditEntry, BackupHistory, BackupRestore, Incident
from backups.types import Server
from tests.conftest import s3_client
from tests.integration import shelf
from tests.integration.health import made, verified
from tests.panel.data import DATA_IN, SHAPES, names, stored, untranslated
from tests.panel.pseudo import BEGIN, LANGUAGE, Marked, left, unmarked
from tests.panel.workers import alive

pytestmark = pytest.mark.usefixtures("history", "language")
PANEL, LIVE = "/admin/backups/", {"HTTP_HX_REQUEST": "true"}
BrowserOf = Callable[..., Client]


@pytest.fixture
def language(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Marked:
    """The site speaks the language of marks, by Django's own road."""
    settings.LANGUAGE_CODE = LANGUAGE
    marked = Marked()
    monkeypatch.setitem(trans_real._translations, LANGUAGE, marked)
    return marked


@pytest.fixture(autouse=True)
def asked_anew(history: None) -> Iterator[None]:
    """No report of health that an earlier test was told."""
    health.full_report.forget()
    yield
    health.full_report.forget()


def test_a_page_that_is_not_translated_is_found() -> None:
    page = '<p title="Hint">⟦Size⟧ 5 MiB of <b>text</b></p><p>⟦of <b>⟧shop⟦</b>⟧</p><code class="key">icb</code>'
    assert left(unmarked(page), data_in={"key"}, known={"shop"}, shapes=SHAPES) == ["Hint", "5 MiB of", "text"]


def test_the_overview_of_a_site_without_backups(administrator: Client, bucket: str) -> None:
    assert untranslated(administrator, PANEL) == []


def test_the_overview_of_a_safe_site_and_of_one_that_is_not(administrator: Client, bucket: str) -> None:
    site = conf.server("default").database
    for hours in (50, 26, 5):
        verified(made(site, hours_ago=hours), hours_ago=hours - 1)
    assert untranslated(administrator, PANEL) == []
    made(site, hours_ago=1, status="failed", error_message="pg_dump failed.\nERROR: no")
    made(site, hours_ago=0.5, status="running", finished_at=None, duration_seconds=None, progress={"phase": "dumping"})
    Incident.objects.create(key="disk:scratch", event="disk", message="The disk is full.", detail="1 B", hint="Make room.")
    assert untranslated(administrator, PANEL) == []
    assert untranslated(administrator, f"{PANEL}running/", **LIVE) == []
    BackupHistory.objects.filter(status="succeeded").update(created_at=timezone.now() - timedelta(days=40))
    assert untranslated(administrator, PANEL) == []


def test_health_and_its_part_of_the_overview(administrator: Client, bucket: str) -> None:
    assert untranslated(administrator, f"{PANEL}health/", more={bucket}) == []
    made(conf.server("default").database, hours_ago=90)
    health.full_report.forget()
    assert untranslated(administrator, f"{PANEL}health/", more={bucket}) == []
    assert untranslated(administrator, f"{PANEL}checks/", more={bucket}, **LIVE) == []


def test_the_history_with_its_filters_and_actions(administrator: Client) -> None:
    history = f"{PANEL}backuphistory/"
    assert untranslated(administrator, history) == []
    rows = [made("shop", hours_ago=number, description=f"row {number}") for number in range(3)]
    made("shop", status="failed", error_message="no")
    made("shop", status="cancelled")
    assert untranslated(administrator, history) == []
    assert untranslated(administrator, f"{history}?status__exact=failed&q=made&o=-1") == []
    assert untranslated(administrator, f"{history}?q=nothing") == []
    chosen = {"action": "pin", "_selected_action": [str(row.pk) for row in rows]}
    answer = administrator.post(history, chosen)
    assert (answer.status_code, 'name="reason"' in answer.content.decode()) == (200, True)
    assert left(unmarked(answer.content.decode()), data_in=DATA_IN, known=stored() | names(), shapes=SHAPES) == []


def test_a_backup_with_its_pages(administrator: Client, backup: BackupHistory) -> None:
    verified(backup)
    for page in ("", "contents/", "manifest/", "delete/", "restore/"):
        assert untranslated(administrator, f"{PANEL}{backup.id}/{page}", more=_inside(backup)) == [], page
    wrong = {"name": "another"}
    BackupHistory.objects.filter(pk=backup.pk).update(bad_at=timezone.now(), pin_reason="audit", warnings=["odd"])
    assert untranslated(administrator, f"{PANEL}{backup.id}/", more=_inside(backup)) == []
    assert untranslated(administrator, f"{PANEL}{backup.id}/delete/", status=400, data=wrong, more=_inside(backup)) == []


def _inside(backup: BackupHistory) -> set[str]:
    return {backup.bucket, "plpgsql", "en_US.UTF-8", "UTF8", "C.UTF-8", "http", "libc", "C", "zstd:1", "gzip"}


@pytest.mark.parametrize("phase", ["checking", "counting rows", "dumping", "completing"])
def test_a_backup_while_it_is_made(administrator: Client, phase: str) -> None:
    told = {"at": timezone.now().isoformat(), "phase": phase, "done_bytes": 50 << 20, "total_bytes": 100 << 20, "rate": 5 << 20}
    states = ("now", 8.4), ("done", 3.1), ("done", None), ("waits", None)
    largest = [{"name": "a.b", "state": state, "bytes": 9, "done_bytes": 9, "seconds": took} for state, took in states]
    tables = {"done": 2, "total": 9, "largest": largest} if phase == "dumping" else None
    told |= {"tables": tables}
    row = made("shop", status="running", finished_at=None, duration_seconds=None, progress=told)
    assert untranslated(administrator, f"{PANEL}{row.id}/") == []
    assert untranslated(administrator, f"{PANEL}{row.id}/live/?quarter=1", **LIVE) == []


def test_a_backup_that_is_queued_failed_or_was_cancelled(administrator: Client) -> None:
    queued_one = made("shop", status="pending", started_at=None, finished_at=None)
    failed = made("shop", status="failed", error_message="pg_dump failed.\nERROR: no")
    cancelled = made("shop", status="cancelled")
    for row in (queued_one, failed, cancelled):
        assert untranslated(administrator, f"{PANEL}{row.id}/") == []


def test_two_backups_compared(administrator: Client, bucket: str) -> None:
    first, second = (BackupHistory.objects.get(s3_key=shelf.put(name, minutes=n)) for n, name in enumerate(("one", "two")))
    assert untranslated(administrator, f"{PANEL}{first.pk}/diff/{second.pk}/") == []


def test_what_retention_keeps_and_lets_go_of(administrator: Client, bucket: str, backups_settings: Settings) -> None:
    assert untranslated(administrator, f"{PANEL}prune/") == []
    for minute in (1, 2):
        shelf.put("unproven", at=(timezone.now() - timedelta(days=60)).replace(hour=12, minute=minute))
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"daily": 1}}
    assert "nothing is pruned" in administrator.get(f"{PANEL}prune/").content.decode().partition("rules")[0]
    assert untranslated(administrator, f"{PANEL}prune/") == []
    for days in (1, 2, 40, 50):
        shelf.put(f"of {days}", at=timezone.now() - timedelta(days=days), verified_at=timezone.now() - timedelta(days=days - 1))
    shelf.put("not proven", at=timezone.now() - timedelta(hours=1))
    rules = {"keep_last": 1, "daily": 2, "monthly": 1, "minimum_age_days": 1}
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {**rules, "maximum_share": 1.0}}
    assert untranslated(administrator, f"{PANEL}prune/") == []


def test_a_restore_from_its_plan_to_its_undo(
    administrator: Client, backup: BackupHistory, source: Server, backups_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = _inside(backup) | {source.database}
    plan = f"{PANEL}{backup.id}/restore/"
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source", "default"]}
    assert untranslated(administrator, plan, more=more) == []
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}
    assert untranslated(administrator, plan, more=more) == []
    assert untranslated(administrator, f"{plan}?target=source&now=1", more=more) == []
    assert untranslated(administrator, plan, status=503, data={"target": "source", "confirm": source.database}, more=more) == []
    alive(monkeypatch)
    assert untranslated(administrator, plan, status=400, data={"target": "source", "confirm": "shop"}, more=more) == []
    administrator.post(plan, {"target": "source", "confirm": source.database})
    row = BackupRestore.objects.get()
    page = f"{PANEL}restores/{row.id}/"
    assert untranslated(administrator, page, more=more) == []
    assert untranslated(administrator, f"{page}live/", more=more, **LIVE) == []
    queued.make_restore(row.id)
    assert untranslated(administrator, page, more=more) == []
    assert untranslated(administrator, f"{page}undo/", status=400, data={"confirm": "shop"}, more=more) == []
    administrator.post(f"{page}undo/", {"confirm": source.database})
    assert untranslated(administrator, page, more=more) == []


def test_a_plan_with_things_against_it(administrator: Client, backup: BackupHistory, backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["default"]}
    plan = f"{PANEL}{backup.id}/restore/?target=default&now=1"
    assert untranslated(administrator, plan, more=_inside(backup)) == []


def test_restores_and_verifications(administrator: Client) -> None:
    assert untranslated(administrator, f"{PANEL}backuprestore/") == []
    row = made("shop")
    proof = verified(row)
    failed = BackupRestore.objects.create(
        backup=row, source_key="k", target_host="db1", target_port=5432, target_database="shop", target_environment="testing",
        status="failed", started_at=timezone.now(), error_message="pg_restore failed.\nERROR: no",
    )  # fmt: skip
    assert untranslated(administrator, f"{PANEL}backuprestore/") == []
    for one in (proof, failed):
        assert untranslated(administrator, f"{PANEL}restores/{one.id}/") == []


def test_the_bucket_and_an_object_that_nobody_knows(administrator: Client, bucket: str, backups_settings: Settings) -> None:
    storage, key = f"{PANEL}storage/", "testing/postgres/stray.txt"
    shelf.put("known")
    s3_client(backups_settings).put_object(Bucket=bucket, Key=key, Body=b"x")
    assert untranslated(administrator, storage, more={bucket, "stray.txt"}) == []
    assert untranslated(administrator, f"{storage}?starts=z", more={bucket}) == []
    assert untranslated(administrator, f"{storage}delete/?key={key}", more={bucket, "stray.txt"}) == []
    wrong = {"key": key, "confirm": "no"}
    assert untranslated(administrator, f"{storage}delete/", status=400, data=wrong, more={bucket, "stray.txt"}) == []
    assert untranslated(administrator, f"{storage}?prefix=production/", status=400) == []


def test_schedules_the_audit_and_a_new_backup(administrator: Client, bucket: str) -> None:
    assert untranslated(administrator, f"{PANEL}schedules/") == []
    for outcome in Outcome:
        note(action="restore", outcome=outcome, object="x.dump", by=By(channel=Channel.API, actor="deploy", token_name="ci"))
    assert untranslated(administrator, f"{PANEL}auditentry/") == []
    assert untranslated(administrator, f"{PANEL}new/", more={bucket}) == []
    assert untranslated(administrator, f"{PANEL}new/", status=400, data={"description": "ü/"}, more={bucket, "ü/"}) == []


def test_pages_that_refuse(browser_of: BrowserOf, administrator: Client) -> None:
    assert untranslated(browser_of(), PANEL, status=403) == []
    assert untranslated(administrator, f"{PANEL}00000000-0000-0000-0000-000000000000/", status=404) == []
    failed = made("shop", status="failed")
    assert untranslated(administrator, f"{PANEL}{failed.id}/download/", status=409) == []
    assert untranslated(Client(HTTP_ACCEPT="text/html"), f"/admin/login/?next={PANEL}") == []


def test_what_is_stored_sent_to_programs_or_printed_is_english_all_the_same(
    administrator: Client, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = made(conf.server("default").database, status="failed", error_message="no")
    for page in ("", "health/", f"{failed.id}/"):
        answer = administrator.get(f"{PANEL}{page}", HTTP_ACCEPT="application/json")
        assert answer["Content-Type"] == "application/json"
        assert BEGIN not in answer.content.decode()
    assert BEGIN in administrator.post(f"{PANEL}{failed.id}/verify/").content.decode()
    assert AuditEntry.objects.get(outcome="refused").detail.startswith(f"{failed.filename} is no whole backup: it is failed,")
    for command in ("db_list", "db_prune"):
        call_command(command, "--json")
    assert BEGIN not in capsys.readouterr().out


def msgids(catalogue: Path) -> set[str]:
    """Of a file .po, those with a plural as well."""
    found = re.findall(r'^msgid(?:_plural)? ((?:"[^\n]*"\n)+)', catalogue.read_text(), re.M)
    return {"".join(ast.literal_eval(line) for line in one.splitlines()) for one in found}


def of_rest_framework() -> set[str]:
    """It brings no file .po."""
    catalogue = gettext.translation("django", Path(rest_framework.__file__).parent / "locale", ["de"])
    return {key for key in catalogue._catalog if isinstance(key, str)}  # type: ignore[attr-defined]


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="needs GNU gettext")
def test_what_the_pages_ask_for_is_what_makemessages_finds(
    administrator: Client,
    bucket: str,
    language: Marked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = tmp_path / "backups"
    shutil.copytree(Path(health.__file__).parents[1], copy, ignore=shutil.ignore_patterns("__pycache__", "static"))
    (copy / "locale").mkdir(exist_ok=True)
    monkeypatch.chdir(copy)
    call_command("makemessages", locale=[LANGUAGE], verbosity=0)
    assert "warning" not in capsys.readouterr().err
    ours = msgids(copy / "locale" / LANGUAGE / "LC_MESSAGES" / "django.po")
    made(conf.server("default").database, status="failed", error_message="no")
    for page in ("", "health/", "backuphistory/", "backuprestore/", "storage/", "schedules/", "prune/", "new/"):
        administrator.get(f"{PANEL}{page}")
    theirs = [*Path(django.__file__).parent.glob("**/locale/en"), *Path(django_celery_beat.__file__).parent.glob("locale/de")]
    known = ours.union(*(msgids(folder / "LC_MESSAGES" / "django.po") for folder in theirs), of_rest_framework())
    assert language.asked - known == set()

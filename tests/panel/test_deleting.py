"""What retention keeps and lets go of, and one backup deleted by its typed name: in the panel, on a real bucket."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import tasks
from backups.admin import deleting
from backups.alerting import incidents, problems
from backups.audited import AuditEntry
from backups.models import BackupHistory, Heartbeat, Incident
from backups.prune import BackupPruning, Fate, delete_one, pin
from backups.retention import Policy
from tests.conftest import keys_in
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")
PRUNE = "/admin/backups/prune/"
LIST = "/admin/backups/backuphistory/"


class Queue:
    """In the place of the task: how it was sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def apply_async(self, **how: Any) -> None:
        """A message."""
        self.sent.append(how)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    """Somebody takes prunes from the queue."""
    Heartbeat.objects.create(name="queue:backups", at=timezone.now())
    made = Queue()
    monkeypatch.setattr(tasks, "prune", made)
    return made


@pytest.fixture
def pruner(browser_of: Callable[..., Client]) -> Client:
    return browser_of("backup pruner")


@pytest.fixture
def retain(backups_settings: Settings) -> Callable[..., None]:
    """Sets the rules."""

    def retain(**rules: object) -> None:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"maximum_share": 1.0, **rules}}

    return retain


def shelve(name: str, *, days: float, verified: bool = True, **more: object) -> BackupHistory:
    """A backup of so many days ago; its row."""
    at = timezone.now() - timedelta(days=days)
    proof = {"verified_at": at + timedelta(hours=1)} if verified else {}
    return BackupHistory.objects.get(s3_key=shelf.put(name, at=at, **{**proof, **more}))  # type: ignore[arg-type]


def page(client: Client, address: str = PRUNE, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")


def delete_page(row: BackupHistory) -> str:
    return reverse("backups_panel:delete", args=[row.pk])


def warned(old: BackupHistory) -> str:
    """A newer backup lost rows: the warning that says to keep the one from before; the newer one's filename."""
    new = shelve("new", days=1, warnings=[f"public.event has lost 90% of its rows since {old.filename}: 5,000 → 500"])
    for problem in problems.of_history("testing"):
        incidents.note(problem)
    return new.filename


# What retention keeps


def test_without_a_rule_everything_is_kept_and_the_way_to_a_rule_is_told(pruner: Client, bucket: str) -> None:
    shelve("old", days=900)
    text = page(pruner)
    assert "Everything is kept" in text
    assert "BACKUPS_RETENTION=" in text
    assert "Type the environment" not in text


def test_each_backup_stands_with_the_rule_that_decided_it_and_nothing_is_changed(
    viewer: Client, bucket: str, retain: Callable[..., None], backups_settings: Settings
) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    old = shelve("old", days=3)
    before = keys_in(backups_settings, bucket)

    answer = viewer.get(PRUNE)

    planned = BackupPruning().plan()
    for fate, listed in ((Fate.OBSOLETE, "going"), (Fate.KEEP, "staying")):
        shown = [(one.candidate.filename, one.reasons) for one, _row in answer.context[listed].lines]
        assert shown == [(one.candidate.filename, one.reasons) for one in planned.of(fate)]
    text = answer.content.decode()
    assert "A prune would delete 1 backup" in text
    assert "no rule keeps it" in text
    assert old.filename in text
    assert keys_in(backups_settings, bucket) == before


def test_the_rules_are_told_in_the_number_that_they_have() -> None:
    told = deleting.rules_of(Policy(keep_last=3, daily=7, minimum_age_days=1))
    assert told == ["the last 3 verified", "7 daily", "everything younger than 1 day"]


def test_what_stops_the_prune_is_said(viewer: Client, bucket: str, retain: Callable[..., None]) -> None:
    retain(keep_last=1)
    shelve("new", days=1, verified=False)
    shelve("old", days=3, verified=False)
    text = page(viewer)
    assert "no backup in the bucket is verified up to now" in text
    assert "icb db verify latest" in text


def test_whoever_may_not_prune_sees_what_would_go_and_no_form(
    viewer: Client, pruner: Client, bucket: str, retain: Callable[..., None]
) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    shelve("old", days=3)
    assert 'name="name"' not in page(viewer)
    assert 'name="name"' in page(pruner)


def test_of_many_backups_the_plan_is_what_the_history_tells_and_says_so_and_the_bucket_is_asked_when_wanted(
    viewer: Client, bucket: str, retain: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    shelve("old", days=3)
    shelf.put("without a row", at=timezone.now() - timedelta(days=5), row=False)
    assert "the bucket was not asked" not in page(viewer)
    monkeypatch.setattr(deleting, "MANY", 1)
    told = page(viewer)
    assert "the bucket was not asked" in told
    assert "A prune would delete 1 backup<" in told

    (link,) = re.findall(r'href="(\?[^"]+)">Hold it against the bucket', told)
    soon = page(viewer, f"{PRUNE}{link}")
    assert "2 backups are held against the rules" in soon
    (address,) = re.findall(r'hx-get="([^"]+)"', soon)
    whole = page(viewer, unescape(address))
    assert "the bucket was not asked" not in whole
    assert "A prune would delete 2 backups<" in whole


def test_a_prune_is_queued_by_the_typed_name_of_the_environment_and_noted(
    pruner: Client, bucket: str, retain: Callable[..., None], queue: Queue
) -> None:
    retain(keep_last=1)
    answer = pruner.post(PRUNE, {"name": "testing"})
    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert queue.sent == [{"expires": 3600}]
    noted = AuditEntry.objects.get()
    assert (noted.action, noted.outcome, noted.object) == ("prune", "queued", "testing")


def test_another_name_queues_nothing_and_is_noted(pruner: Client, bucket: str, retain: Callable[..., None], queue: Queue) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    shelve("old", days=3)
    answer = pruner.post(PRUNE, {"name": "production"})
    assert answer.status_code == 400
    assert "Nothing was deleted." in answer.content.decode()
    assert queue.sent == []
    assert AuditEntry.objects.get().outcome == "refused"


def test_without_a_worker_no_prune_is_queued(pruner: Client, bucket: str, retain: Callable[..., None]) -> None:
    retain(keep_last=1)
    answer = pruner.post(PRUNE, {"name": "testing"})
    assert answer.status_code == 503
    assert "icb up" in answer.content.decode()


def test_without_a_rule_no_prune_is_queued(pruner: Client, bucket: str, queue: Queue) -> None:
    answer = pruner.post(PRUNE, {"name": "testing"})
    assert answer.status_code == 409
    assert queue.sent == []


def test_who_may_not_prune_is_refused_and_it_is_noted(viewer: Client, bucket: str, queue: Queue) -> None:
    assert viewer.post(PRUNE, {"name": "testing"}).status_code == 403
    assert queue.sent == []
    assert AuditEntry.objects.get().action == "prune"


def test_the_queries_are_as_many_for_many_backups_as_for_few(viewer: Client, bucket: str, retain: Callable[..., None]) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    shelve("old", days=3)
    with CaptureQueriesContext(connection) as few:
        page(viewer)
    for number in range(6):
        shelve(f"n{number}", days=5 + number)
    with CaptureQueriesContext(connection) as many:
        page(viewer)
    assert len(many) == len(few)


def test_a_plan_says_first_that_it_would_delete_what_an_open_warning_says_to_keep(
    viewer: Client, bucket: str, retain: Callable[..., None]
) -> None:
    old = shelve("old", days=3)
    warned(old)
    assert "An open warning" not in page(viewer)
    retain(keep_last=1)
    assert f"An open warning says to keep {old.filename}, and a prune would delete it." in page(viewer)


# One


def test_one_is_deleted_by_its_typed_filename_and_noted(pruner: Client, bucket: str, backups_settings: Settings) -> None:
    shelve("new", days=1)
    old = shelve("old", days=3)
    assert old.filename in page(pruner, delete_page(old))

    answer = pruner.post(delete_page(old), {"name": old.filename})

    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert [key for key in keys_in(backups_settings, bucket) if "old" in key] == []
    old.refresh_from_db()
    assert old.deleted_at is not None
    noted = AuditEntry.objects.get()
    assert (noted.action, noted.outcome, noted.object) == ("delete", "done", old.filename)


def test_what_an_open_warning_says_to_keep_is_not_deleted_without_being_told(pruner: Client, bucket: str) -> None:
    older, old = shelve("older", days=4), shelve("old", days=3)
    new = warned(old)
    text = page(pruner, delete_page(old))
    assert "An open warning says to keep this backup" in text
    assert f"lost rows before {new}." in text
    assert "has lost 90% of its rows" in text
    assert "An open warning" not in page(pruner, delete_page(older))
    Incident.objects.update(closed_at=timezone.now())
    assert "An open warning" not in page(pruner, delete_page(old))


@pytest.mark.parametrize("name", ["", "old", "backup"])
def test_another_name_deletes_nothing_and_is_noted(pruner: Client, bucket: str, name: str) -> None:
    shelve("new", days=1)
    old = shelve("old", days=3)
    answer = pruner.post(delete_page(old), {"name": name})
    assert answer.status_code == 400
    assert "Nothing was deleted." in answer.content.decode()
    old.refresh_from_db()
    assert old.deleted_at is None
    assert AuditEntry.objects.get().outcome == "refused"


def test_the_newest_verified_one_has_no_form_and_is_refused(pruner: Client, bucket: str) -> None:
    new = shelve("new", days=1)
    text = page(pruner, delete_page(new))
    assert "No newer backup of this database is verified." in text
    assert 'name="name"' not in text
    answer = pruner.post(delete_page(new), {"name": new.filename})
    assert answer.status_code == 409
    assert "newest verified" in answer.content.decode()
    assert AuditEntry.objects.get().outcome == "refused"


def test_a_pinned_one_has_no_form_and_is_refused(pruner: Client, bucket: str) -> None:
    shelve("new", days=1)
    old = shelve("old", days=3)
    pin(old.s3_key, reason="for the audit")
    assert "for the audit" in page(pruner, delete_page(old))
    assert 'name="name"' not in page(pruner, delete_page(old))
    assert pruner.post(delete_page(old), {"name": old.filename}).status_code == 409


def test_one_of_another_environment_has_no_form_and_is_refused(pruner: Client, bucket: str) -> None:
    shelve("newer", days=1, environment="production")
    theirs = shelve("theirs", days=3, environment="production")
    assert "of the environment production" in page(pruner, delete_page(theirs))
    assert pruner.post(delete_page(theirs), {"name": theirs.filename}).status_code == 409


def test_of_a_failed_run_nothing_can_be_deleted(pruner: Client, bucket: str) -> None:
    failed = shelve("failed", days=1, verified=False, status="failed", dump=None, manifest=False)
    text = page(pruner, delete_page(failed))
    assert "nothing of it is stored" in text
    assert "Lies at" not in text


def test_one_that_is_deleted_already_is_said_to_be(pruner: Client, bucket: str) -> None:
    shelve("new", days=1)
    old = shelve("old", days=3)
    delete_one(old)
    text = page(pruner, delete_page(old))
    assert "old is deleted already" in text
    assert "must stay" not in text
    assert "Lay at" in text
    assert pruner.post(delete_page(old), {"name": old.filename}).status_code == 404


def test_who_may_not_delete_sees_no_page_of_it_and_is_refused(viewer: Client, bucket: str) -> None:
    shelve("new", days=1)
    old = shelve("old", days=3)
    page(viewer, delete_page(old), status=403)
    assert viewer.post(delete_page(old), {"name": old.filename}).status_code == 403
    old.refresh_from_db()
    assert old.deleted_at is None
    assert [noted.action for noted in AuditEntry.objects.all()] == ["delete", "delete"]

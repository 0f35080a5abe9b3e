"""A new backup, by a form that works without a script."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from backups import queued
from backups.models import AuditEntry, BackupHistory
from backups.types import Server
from tests.integration.health import made
from tests.panel.workers import Kept, alive

pytestmark = pytest.mark.usefixtures("history")
NEW = "/admin/backups/new/"


@pytest.fixture
def operator(browser_of: Callable[..., Client]) -> Client:
    return browser_of("backup operator")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Kept:
    return alive(monkeypatch)


def form_of(client: Client, **more: str) -> dict[str, str]:
    """What the form has when it is opened, and what is typed into it."""
    page = client.get(NEW).content.decode()
    once = re.search(r'name="once" value="([^"]+)"', page)
    assert once is not None
    return {"once": once[1], "upload_to_s3": "on", "database": "source", "description": "Before Reindex", **more}


def test_the_form_is_filled_in_and_tells_the_rule_and_the_key(operator: Client, bucket: str) -> None:
    page = operator.get(NEW).content.decode()
    assert "at most 100 characters" in page
    assert re.search(r"testing/postgres/backup-\d{4}-\d\d-\d\dT\d{4}-…\.dump", page)
    assert re.search(r'name="upload_to_s3"[^>]* checked', page)
    assert not re.search(r'name="save_local"[^>]* checked', page)
    assert f"the bucket {bucket}" in page


def test_an_address_can_fill_the_form_in(operator: Client, source: Server, bucket: str) -> None:
    page = operator.get(f"{NEW}?description=nightly&database=source&save_local=on").content.decode()
    assert re.search(r"testing/postgres/backup-[^<]*-nightly\.dump", page)
    assert re.search(r'value="source" selected', page)
    assert not re.search(r'name="upload_to_s3"[^>]* checked', page)
    assert re.search(r'name="save_local"[^>]* checked', page)


def test_what_was_asked_for_is_queued_noted_and_shown(operator: Client, sent: Kept, source: Server, bucket: str) -> None:
    answer = operator.post(NEW, form_of(operator, save_local="on"))
    row = BackupHistory.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/backups/{row.id}/")
    assert (row.description, row.alias, row.bucket, bool(row.local_path)) == ("Before Reindex", "source", bucket, True)
    assert row.filename.endswith("-before-reindex.dump")
    assert sent.ids == [str(row.id)]
    noted = AuditEntry.objects.get()
    assert (noted.action, noted.outcome, noted.object, noted.channel) == ("create", "queued", row.filename, "web")
    page = operator.get(answer["Location"]).content.decode()
    assert "Queued, waits for a worker" in page
    queued.make_backup(row.id)
    assert "Succeeded" in operator.get(answer["Location"]).content.decode()


def test_a_form_that_is_sent_twice_is_one_backup(operator: Client, sent: Kept, source: Server, bucket: str) -> None:
    form = form_of(operator)
    first, second = (operator.post(NEW, form)["Location"] for _time in range(2))
    assert first == second
    assert (BackupHistory.objects.count(), len(sent.ids), AuditEntry.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"description": "ümlaut"}, "letters a-z, digits"),
        ({"description": "--"}, "letters a-z, digits"),
        ({"description": ""}, "This field is required"),
        ({"upload_to_s3": ""}, "nowhere to go"),
        ({"database": "nowhere"}, "Select a valid choice"),
    ],
)
def test_a_mistake_is_told_beside_its_field(
    operator: Client, sent: Kept, source: Server, bucket: str, typed: dict[str, str], said: str
) -> None:
    form = {name: value for name, value in form_of(operator, **typed).items() if value}
    answer = operator.post(NEW, form)
    assert answer.status_code == 400
    wrong = re.findall(r'class="wrong"[^>]*>([^<]*)<', answer.content.decode())
    assert [said in text for text in wrong] == [True]
    assert not BackupHistory.objects.exists()


def test_a_store_that_is_not_configured_cannot_be_chosen(
    operator: Client, sent: Kept, source: Server, bucket: str, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "LOCAL_FOLDER": None}
    page = operator.get(NEW).content.decode()
    assert re.search(r'name="save_local"[^>]* disabled', page)
    assert "BACKUPS_LOCAL_FOLDER names one" in page
    operator.post(NEW, form_of(operator, save_local="on"))
    assert BackupHistory.objects.get().local_path == ""


def test_where_one_of_the_database_runs_the_form_leads_to_it(operator: Client, sent: Kept, source: Server, bucket: str) -> None:
    other = made(source.database, status="running", finished_at=None)
    answer = operator.post(NEW, form_of(operator))
    page = answer.content.decode()
    assert answer.status_code == 409
    assert f"A backup of {source.database} is running already." in page
    assert f"/admin/backups/{other.id}/" in page
    assert "Before Reindex" in page  # what was typed is still there
    assert AuditEntry.objects.get().outcome == "refused"


def test_where_no_worker_is_alive_it_is_said_before_and_after(operator: Client, source: Server, bucket: str) -> None:
    page = operator.get(NEW).content.decode()
    assert "Nobody would make it now: worker has never run here. A worker counts as gone when it is silent for" in page
    answer = operator.post(NEW, form_of(operator))
    assert (answer.status_code, "Start one: icb up" in answer.content.decode()) == (503, True)
    assert not BackupHistory.objects.exists()


def test_whoever_may_not_make_backups_is_shown_no_form(browser_of: Callable[..., Client]) -> None:
    viewer = browser_of("backup viewer")
    assert [viewer.get(NEW).status_code, viewer.post(NEW, {"description": "x"}).status_code] == [403, 403]
    assert [entry.action for entry in AuditEntry.objects.all()] == ["create", "create"]

"""A restore by the panel: its plan, the typed name, its report, and the way back."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags
from pytest_django.fixtures import Settings

from backups import history, queued
from backups.alerting.problems import of_history
from backups.backup import DatabaseBackup
from backups.kept import kept_of
from backups.models import AuditEntry, BackupHistory, BackupRestore
from backups.postgres.named_lock import named_lock
from backups.types import Server
from tests.conftest import connect
from tests.integration import shelf
from tests.integration.health import made
from tests.panel.workers import alive

pytestmark = pytest.mark.usefixtures("history")
BrowserOf = Callable[..., Client]
LIVE = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def restorer(browser_of: BrowserOf) -> Client:
    return browser_of("backup restorer")


@pytest.fixture
def target(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}


def asked_for(backup: BackupHistory) -> str:
    return f"/admin/backups/{backup.id}/restore/"


def plan_of(backup: BackupHistory) -> str:
    """What the page of `asked_for` fetches."""
    return f"{asked_for(backup)}?now=1"


def words(answer: object) -> str:
    return re.sub(r"\s+", " ", strip_tags(answer.content.decode())).replace("\N{NO-BREAK SPACE}", " ")  # type: ignore[attr-defined]


def purchases(server: Server) -> int | None:
    with connect(server) as session:
        ((there,),) = session.execute("SELECT to_regclass('shop.purchase') IS NOT NULL").fetchall()
        return int(str(session.execute("SELECT count(*) FROM shop.purchase").fetchall()[0][0])) if there else None


def test_where_no_target_is_named_it_says_so_with_the_command(restorer: Client, backup: BackupHistory) -> None:
    said = words(restorer.get(plan_of(backup)))
    assert "This site restores nothing by the web" in said
    assert f"icb db restore {backup.filename} --target-dbname NEW_NAME" in said


def test_where_several_targets_are_named_one_is_chosen_first(
    restorer: Client, backup: BackupHistory, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source", "default"]}
    answer = restorer.get(plan_of(backup))
    assert "Onto which database?" in words(answer)
    assert re.findall(r'href="\?target=(\w+)"', answer.content.decode()) == ["source", "default"]
    assert 'name="confirm"' not in answer.content.decode()


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize(
    ("neutralize", "said"),
    [
        ("yes", "Sessions and tokens are emptied, scheduled tasks disabled."),
        ("no", "Sessions, tokens and scheduled tasks of production will be alive."),
    ],
)
def test_of_a_backup_of_production_one_says_first_what_becomes_of_its_sessions(
    restorer: Client, source: Server, bucket: str, neutralize: str, said: str
) -> None:
    key = shelf.put("of production", environment="production", system_identifier="1", database=source.database)
    backup = BackupHistory.objects.get(s3_key=key)
    asked = restorer.get(plan_of(backup))
    assert "First say what becomes of sessions and tokens" in words(asked)
    assert 'name="confirm"' not in asked.content.decode()
    answer = restorer.get(f"{plan_of(backup)}&target=source&neutralize={neutralize}")
    assert said in words(answer)
    assert f'name="neutralize" value="{neutralize}"' in answer.content.decode()
    assert 'name="confirm"' in answer.content.decode()


@pytest.mark.usefixtures("target")
def test_the_plan_tells_from_what_onto_what_and_asks_for_the_name(
    restorer: Client, backup: BackupHistory, source: Server
) -> None:
    answer = restorer.get(plan_of(backup))
    said = words(answer)
    assert answer.status_code == 200
    for told in (
        f"Put {source.database} back to good",
        "3 tables, 6,200 rows",
        "PostgreSQL 17",
        f"Restore onto {source.database}",
    ):
        assert told in said
    assert 'name="confirm"' in answer.content.decode()


@pytest.mark.usefixtures("target")
def test_the_page_is_there_before_the_store_and_the_target_are_asked(
    restorer: Client, backup: BackupHistory, source: Server, use_bucket: Callable[..., str]
) -> None:
    use_bucket(make=False, endpoint_url="http://127.0.0.1:9")
    page = restorer.get(f"{asked_for(backup)}?target=source&neutralize=yes")
    assert f"Put {source.database} back to good" in words(page)
    (whole,) = re.findall(r'hx-get="([^"]+)"', page.content.decode())
    assert f'<noscript><p class="after"><a class="btn" href="{whole}">' in page.content.decode()
    assert restorer.get(unescape(whole)).status_code == 502


@pytest.mark.usefixtures("target")
def test_a_target_that_the_settings_do_not_name_is_refused_at_once(restorer: Client, backup: BackupHistory) -> None:
    assert restorer.get(f"{asked_for(backup)}?target=default").status_code == 403


@pytest.mark.usefixtures("target")
def test_onto_a_target_that_the_settings_do_not_name_nothing_is_queued(
    restorer: Client, backup: BackupHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(monkeypatch)
    answer = restorer.post(asked_for(backup), {"target": "default", "confirm": connection.settings_dict["NAME"]})
    assert answer.status_code == 403
    assert not BackupRestore.objects.exists()


@pytest.mark.usefixtures("target")
def test_a_wrong_name_touches_nothing_and_is_noted(
    restorer: Client, backup: BackupHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(monkeypatch)
    answer = restorer.post(plan_of(backup), {"target": "source", "confirm": "shop"})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert re.search(
        r'name="confirm"[^>]*aria-describedby="wrong".*id="wrong" role="alert">Say the name of the database', page, re.S
    )
    assert not BackupRestore.objects.exists()
    assert AuditEntry.objects.get(outcome="refused").action == "restore"


@pytest.mark.usefixtures("target")
def test_a_damaged_database_is_restored_and_put_back(
    restorer: Client, backup: BackupHistory, source: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(monkeypatch)
    answer = restorer.post(plan_of(backup), {"target": "source", "confirm": source.database})
    row = BackupRestore.objects.get()
    page = f"/admin/backups/restores/{row.id}/"
    assert (answer.status_code, answer["Location"]) == (302, page)
    assert "Queued, waits for a worker" in words(restorer.get(page))
    assert "Queued" in words(restorer.get(page + "live/", **LIVE))

    queued.make_restore(row.id)
    assert purchases(source) == 1000
    assert restorer.get(page + "live/", **LIVE)["HX-Refresh"] == "true"
    report = words(restorer.get(page))
    assert f"{source.database} was restored" in report
    assert "All 3 tables hold exactly the rows that the backup counted: 6,200." in report

    wrong = restorer.post(page + "undo/", {"confirm": "shop"})
    assert (wrong.status_code, 'aria-describedby="wrong"' in wrong.content.decode()) == (400, True)
    assert purchases(source) == 1000
    assert restorer.post(page + "undo/", {"confirm": source.database}).status_code == 302
    assert purchases(source) is None
    undone = words(restorer.get(page))
    assert "was put back to what it was before this restore" in undone
    (aside,) = (one.database for one in kept_of(source) if one.kind == "undone")
    assert f"It stands beside it as {aside}, " in undone
    assert f"icb db restore --undo --kept {aside} --target-dbname {source.database}" in undone

    again = restorer.post(page + "undo/", {"confirm": source.database})
    assert again.status_code == 409
    assert re.search(r"It was undone already: today \d\d:\d\d, by of backup restorer\.", words(again))
    refused = AuditEntry.objects.filter(outcome="refused").latest("at").detail
    assert re.search(r"It was undone already: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, by of backup restorer\.", refused)
    assert purchases(source) is None
    noted = AuditEntry.objects.exclude(outcome="refused").order_by("at").values_list("action", "outcome")
    assert list(noted) == [("restore", "queued"), ("undo", "done")]


@pytest.mark.usefixtures("target")
def test_while_another_restore_onto_it_is_queued_the_page_leads_to_that_one(
    restorer: Client, backup: BackupHistory, source: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(monkeypatch)
    said = {"target": "source", "confirm": source.database}
    other = restorer.post(asked_for(backup), said)["Location"]
    answer = restorer.post(asked_for(backup), said)
    assert answer.status_code == 409
    assert f'<a class="btn" href="{other}">Look at that run</a>' in answer.content.decode()


@pytest.mark.usefixtures("target")
def test_while_somebody_puts_something_in_its_place_nothing_is_queued(
    restorer: Client, backup: BackupHistory, source: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(monkeypatch)
    with named_lock(history.server(), f"replace {source.database}") as holder:
        pid = holder.info.backend_pid
        answer = restorer.post(asked_for(backup), {"target": "source", "confirm": source.database})
    assert answer.status_code == 409
    assert f"Somebody else is putting something in the place of {source.database}" in words(answer)
    assert f"Session {pid} on the server" in words(answer)
    assert not BackupRestore.objects.exists()


def test_what_stands_against_it_is_said_and_there_is_no_field_for_the_name(
    restorer: Client, backup: BackupHistory, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["default"]}
    answer = restorer.get(plan_of(backup))
    assert f"The backup is of the database {backup.database}" in words(answer)
    assert "What stands against it" in words(answer)
    assert 'name="confirm"' not in answer.content.decode()


@pytest.mark.usefixtures("target")
def test_what_should_be_known_before_is_said_and_the_name_may_be_typed(restorer: Client, backup: BackupHistory) -> None:
    BackupHistory.objects.filter(pk=backup.pk).update(database="elsewhere")
    answer = restorer.get(plan_of(backup))
    assert "What to know before" in words(answer)
    assert 'name="confirm"' in answer.content.decode()


@pytest.mark.usefixtures("target")
def test_the_plan_of_a_bad_backup_begins_with_what_was_found_and_the_way_to_a_good_one(
    restorer: Client, backup: BackupHistory
) -> None:
    other = DatabaseBackup(description="other", database="source").run()
    finding = damaged(backup)
    page = restorer.get(plan_of(backup)).content.decode()
    (headings,) = re.findall(r"<h1>(.*?)</h1>", page)
    assert headings == "The backup “good” was found bad"
    head = page[page.index("<h1>") : page.index("<h2>")]
    assert "The bytes are not the ones that were backed up." in head
    assert f'href="{finding}"' in head
    assert f'href="{asked_for(other)}?target=source"' in head


@pytest.mark.usefixtures("target")
def test_that_a_backup_was_found_bad_is_said_before_its_plan_is_there(restorer: Client, backup: BackupHistory) -> None:
    assert "was found bad" not in words(restorer.get(asked_for(backup)))
    damaged(backup)
    page = restorer.get(asked_for(backup)).content.decode()
    assert re.findall(r"<h1>(.*?)</h1>", page) == ["The backup “good” was found bad"]
    assert "What it brings may be incomplete or wrong." in page
    assert "are only read" in page


@pytest.mark.usefixtures("target")
def test_checks_are_counted_as_they_are_listed_without_the_one_that_the_page_begins_with(
    restorer: Client, backup: BackupHistory
) -> None:
    damaged(backup)
    answer = restorer.get(plan_of(backup))
    page = answer.content.decode()
    listed = page[page.index('id="problems"') : page.index('id="final"')].count('<span class="pill ')
    assert f"{listed} checks, 0 against it" in words(answer)


@pytest.mark.usefixtures("target")
def test_the_plan_of_a_bad_backup_without_another_one_says_how_others_are_proven(restorer: Client, backup: BackupHistory) -> None:
    damaged(backup)
    said = words(restorer.get(plan_of(backup)))
    assert "There is no other backup that nothing speaks against" in said
    assert "icb db verify --all-unverified" in said


@pytest.mark.usefixtures("target")
def test_a_bad_backup_has_no_plain_red_button_but_a_box_that_must_be_ticked(restorer: Client, backup: BackupHistory) -> None:
    damaged(backup)
    page = restorer.get(plan_of(backup)).content.decode()
    assert re.search(r'type="checkbox" name="bad" value="yes" required>', page)
    assert "btn danger" not in page


@pytest.mark.usefixtures("target")
def test_a_bad_backup_is_not_restored_before_the_box_is_ticked(
    restorer: Client, backup: BackupHistory, source: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(monkeypatch)
    BackupHistory.objects.filter(pk=backup.pk).update(bad_at=timezone.now())
    given = {"target": "source", "confirm": source.database}
    answer = restorer.post(plan_of(backup), given)
    assert answer.status_code == 400
    assert f"{backup.filename} was found bad. Tick that you want it all the same." in words(answer)
    assert not BackupRestore.objects.exists()
    assert AuditEntry.objects.get(outcome="refused").action == "restore"
    assert restorer.post(plan_of(backup), given | {"bad": "yes"}).status_code == 302


def test_an_incident_names_the_backup_that_the_page_of_the_restore_names(restorer: Client, backup: BackupHistory) -> None:
    other = DatabaseBackup(description="other", database="source").run()
    BackupHistory.objects.filter(pk=other.pk).update(verified_at=timezone.now())
    newest = DatabaseBackup(description="newest", database="source").run()
    BackupHistory.objects.filter(pk=newest.pk).update(backup_type="pre-restore")
    page = restorer.get(damaged(backup)).content.decode()
    (told,) = (one.detail for one in of_history(backup.environment) if one.subject == backup.filename)
    assert f'href="{asked_for(other)}"' in page
    assert f"Untouched: {other.filename}" in told


def failed(backup: BackupHistory, **told: str) -> str:
    """The page of a restore of it onto shop that failed."""
    row = BackupRestore.objects.create(
        backup=backup,
        source_key=backup.s3_key,
        target_host="db1",
        target_port=5432,
        target_database="shop",
        target_environment="testing",
        status="failed",
        started_at=backup.created_at,
        **told,
    )
    return f"/admin/backups/restores/{row.id}/"


def test_a_failed_one_says_why_and_what_was_left_untouched(restorer: Client, backup: BackupHistory) -> None:
    said = words(restorer.get(failed(backup, error_message="pg_restore failed.\nERROR: out of disk")))
    for told in ("The restore onto shop failed", "pg_restore failed.", "ERROR: out of disk", "The target is as it was"):
        assert told in said


def damaged(backup: BackupHistory) -> str:
    """The page of a restore that found it bad."""
    BackupHistory.objects.filter(pk=backup.pk).update(bad_at=timezone.now())
    return failed(backup, verdict="bad", error_message="The bytes are not the ones that were backed up.")


def test_where_a_backup_is_damaged_the_newest_other_one_is_offered(restorer: Client, backup: BackupHistory) -> None:
    other = DatabaseBackup(description="other", database="source").run()
    answer = restorer.get(damaged(backup))
    assert f'href="{asked_for(other)}"' in answer.content.decode()
    assert asked_for(backup) not in answer.content.decode()
    assert f"icb db restore {other.filename}" in words(answer)
    assert f"icb db restore {backup.filename}" not in words(answer)


def test_where_there_is_no_other_backup_it_is_said_and_how_others_are_proven(restorer: Client, backup: BackupHistory) -> None:
    answer = restorer.get(damaged(backup))
    assert "There is no other backup that nothing speaks against" in words(answer)
    assert "icb db verify --all-unverified" in words(answer)
    assert asked_for(backup) not in answer.content.decode()


@pytest.mark.usefixtures("target")
def test_a_target_that_is_not_named_is_refused_before_anything_is_queued(
    restorer: Client, backup: BackupHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = alive(monkeypatch)
    answer = restorer.post(plan_of(backup), {"target": "default", "confirm": history.server().database})
    assert answer.status_code == 403
    assert (BackupRestore.objects.exists(), sent.ids) == (False, [])


@pytest.mark.parametrize("group", ["backup viewer", "backup operator", "backup pruner"])
def test_who_may_not_restore_sees_no_plan_and_undoes_nothing(browser_of: BrowserOf, backup: BackupHistory, group: str) -> None:
    row = BackupRestore.objects.create(
        source_key="x", target_host="db1", target_port=1, target_database="shop", target_environment="testing", status="succeeded"
    )
    client = browser_of(group)
    assert client.get(plan_of(backup)).status_code == 403
    assert client.post(plan_of(backup), {"target": "source", "confirm": "x"}).status_code == 403
    assert client.post(f"/admin/backups/restores/{row.id}/undo/", {"confirm": "shop"}).status_code == 403
    assert client.get(f"/admin/backups/restores/{row.id}/").status_code == 200


def test_a_restore_is_cancelled_only_by_who_may_restore(browser_of: BrowserOf, backup: BackupHistory) -> None:
    row = BackupRestore.objects.create(
        source_key="x", target_host="db1", target_port=1, target_database="shop", target_environment="testing"
    )
    address = f"/admin/backups/restores/{row.id}/cancel/"
    assert browser_of("backup viewer").get(address)["Location"] == f"/admin/backups/restores/{row.id}/"
    assert browser_of("backup operator").post(address).status_code == 403
    assert browser_of("backup restorer").post(address).status_code == 302
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_what_is_large_is_not_read_each_second(browser_of: BrowserOf) -> None:
    row = BackupRestore.objects.create(
        backup=made("shop"),
        source_key="x",
        target_host="db1",
        target_port=1,
        target_database="shop",
        target_environment="testing",
        status="running",
        started_at=timezone.now(),
    )
    client = browser_of("backup viewer")
    with CaptureQueriesContext(connection) as asked:
        assert client.get(f"/admin/backups/restores/{row.id}/live/", **LIVE).status_code == 200
    large = ("comparison_report", "applied_migrations", "extensions", "table_snapshot")
    assert [name for name in large if any(name in query["sql"] for query in asked)] == []


def test_a_viewer_is_told_what_was_kept_and_the_server_is_not_asked_for_it(browser_of: BrowserOf) -> None:
    row = BackupRestore.objects.create(
        source_key="x",
        target_host="192.0.2.1",
        target_port=5432,
        target_database="shop",
        target_environment="testing",
        status="succeeded",
        kept_database="shop_before_20261122T133100",
    )
    page = browser_of("backup viewer").get(f"/admin/backups/restores/{row.id}/").content.decode()
    assert "shop_before_20261122T133100" in page
    assert 'name="confirm"' not in page


@pytest.mark.usefixtures("target")
def test_a_newer_backup_of_the_same_database_is_told_of(restorer: Client, backup: BackupHistory) -> None:
    assert "Newer one" not in words(restorer.get(plan_of(backup)))
    DatabaseBackup(description="hourly", database="source").run()
    assert re.search(r"Newer one ?hourly", words(restorer.get(plan_of(backup))))
    BackupHistory.objects.filter(description="hourly").update(bad_at=timezone.now())
    assert "Newer one" not in words(restorer.get(plan_of(backup)))


def test_before_the_site_s_own_database_is_replaced_it_is_said_that_one_may_have_to_sign_in(
    restorer: Client, bucket: str, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["default"]}
    said = words(restorer.get(plan_of(DatabaseBackup(description="own").run())))
    assert "users and sessions come from the backup: you may have to sign in again" in said
    assert "Carry the history over" in said

"""What can be done with the backups that are selected in the list, and who may."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.admin import bulk
from backups.models import AuditEntry, BackupHistory, BackupRestore
from backups.storage import keys
from tests.integration import shelf
from tests.panel.listed import LIST, act, page, row, said
from tests.panel.workers import alive

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody takes backups from the queue; the ids of the rows that messages were sent for."""
    return alive(monkeypatch).ids


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("backup viewer", {"compare"}),
        ("backup operator", {"compare", "verify"}),
        ("backup restorer", {"compare", "verify", "download"}),
        ("backup pruner", {"compare", "pin", "unpin", "delete"}),
        ("backup administrator", {"compare", "verify", "download", "pin", "unpin", "delete"}),
    ],
)
def test_each_group_sees_the_actions_that_it_may_do(browser_of: Callable[..., Client], group: str, expected: set[str]) -> None:
    row()
    text = page(browser_of(group))
    every = ("compare", "verify", "pin", "unpin", "download", "delete")
    assert {name for name in every if f'name="action" value="{name}"' in text} == expected


@pytest.mark.parametrize("action", ["verify", "pin", "unpin", "download", "delete"])
def test_an_action_without_its_permission_is_answered_with_403_and_noted(viewer: Client, action: str) -> None:
    one = row()
    assert act(viewer, action, one, reason="x").status_code == 403
    noted = AuditEntry.objects.get()
    assert (noted.action, noted.outcome, noted.object) == (action, "refused", LIST)


@pytest.mark.parametrize("action", ["compare", "verify", "pin", "unpin", "download", "delete"])
def test_an_action_with_no_backup_ticked_says_which_box_to_tick(administrator: Client, action: str) -> None:
    answer = administrator.post(LIST, {"action": action, "index": "0"}, follow=True)
    (said,) = [str(one) for one in answer.context["messages"]]
    assert said.startswith("No backup was ticked, so nothing was done. Tick the box before each that is meant")


def test_what_is_selected_must_be_backups(viewer: Client) -> None:
    assert viewer.post(LIST, {"action": "compare", "_selected_action": ["x' OR 1"], "index": "0"}).status_code == 400


def test_a_post_without_the_token_does_nothing(administrator: Client) -> None:
    one = row(pin_reason="why")
    strict = Client(HTTP_ACCEPT="text/html", enforce_csrf_checks=True)
    strict.cookies = administrator.cookies
    answer = act(strict, "unpin", one)
    assert answer.status_code == 403
    assert "Nothing was done" in answer.content.decode()
    assert f'href="{LIST}"' in answer.content.decode()
    one.refresh_from_db()
    assert one.pin_reason == "why"


def test_two_are_compared_from_the_older_to_the_newer(viewer: Client) -> None:
    new, old = row("new"), row("old", created_at=timezone.now() - timedelta(days=1))
    answer = act(viewer, "compare", new, old)
    assert (answer.status_code, answer["Location"]) == (302, reverse("backups_panel:diff", args=[old.pk, new.pk]))


@pytest.mark.parametrize("number", [1, 3])
def test_other_than_two_can_not_be_compared(viewer: Client, number: int) -> None:
    answer = act(viewer, "compare", *(row(f"n{one}") for one in range(number)))
    assert said(answer) == ["Select exactly two backups, to compare them."]


def test_to_download_some_the_next_page_has_a_link_for_each(administrator: Client) -> None:
    one, two, gone = row("one"), row("two"), row("gone", deleted_at=timezone.now())
    missing = row("missing", missing_at=timezone.now())
    answer = act(administrator, "download", one, two, gone, missing)
    assert answer["Location"].startswith(f"{reverse('backups_panel:downloads')}?id=")
    text = administrator.get(answer["Location"]).content.decode()
    links = [reverse("backups_panel:download", args=[each.pk]) for each in (one, two, gone, missing)]
    assert [f'href="{link}"' in text for link in links] == [True, True, False, False]
    assert f"{gone.filename} was deleted" in text
    assert f"No store has {missing.filename} whole any more" in text
    assert "Download 2 backups" in text
    assert not AuditEntry.objects.exists()


def test_to_delete_one_the_next_page_asks_for_its_name(administrator: Client) -> None:
    one = row()
    assert act(administrator, "delete", one)["Location"] == reverse("backups_panel:delete", args=[one.pk])


def test_verifications_are_queued_and_noted(administrator: Client, bucket: str, worker: list[str]) -> None:
    one, other = (BackupHistory.objects.get(s3_key=shelf.put(name, minutes=place)) for place, name in enumerate(("a", "b")))
    answer = act(administrator, "verify", one, other)
    assert said(answer) == ["2 verifications are queued."]
    assert {str(made.id) for made in BackupRestore.objects.filter(purpose="verification")} == set(worker)
    noted = AuditEntry.objects.filter(action="verify", outcome="queued").values_list("object", "target", "detail")
    runs = {str(made.id): made.backup for made in BackupRestore.objects.all()}
    assert sorted(noted) == sorted((backup.filename, id, "restored") for id, backup in runs.items() if backup is not None)
    assert set(runs.values()) == {one, other}


def test_how_many_more_could_not_be_done_or_were_not_tried_counts_backups(administrator: Client) -> None:
    now = timezone.now()
    gone = [row(f"gone {number}", deleted_at=now, created_at=now + timedelta(minutes=1 + number)) for number in range(6)]
    told = said(act(administrator, "verify", *gone, *(row(f"kept {number}") for number in range(3))))
    assert told[4].startswith("Not done with")
    assert told[5:] == ["2 more could not be done.", "2 more were not tried."]


def test_without_room_the_rest_is_not_tried_and_that_is_said(
    administrator: Client, bucket: str, worker: list[str], backups_settings: object
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "MAX_RUNNING": 1}  # type: ignore[attr-defined]
    rows = [BackupHistory.objects.get(s3_key=shelf.put(f"n{one}", minutes=one)) for one in range(3)]
    told = said(act(administrator, "verify", *rows))
    assert told[0].startswith(f"Not done with {rows[1].filename}: 1 runs are queued or at work")
    assert told[1:] == ["1 more was not tried.", "1 verification is queued."]
    assert BackupRestore.objects.count() == 1


@pytest.mark.parametrize("action", ["pin", "unpin"])
def test_where_the_store_does_not_answer_the_rest_is_not_tried_and_that_is_said(
    administrator: Client, use_bucket: Callable[..., str], action: str
) -> None:
    use_bucket(make=False, endpoint_url="http://127.0.0.1:1")
    now = timezone.now()
    rows = [row(filename=keys.filename(at=now - timedelta(minutes=one), description="one")) for one in range(3)]
    told = said(act(administrator, action, *rows, reason="why"))
    assert told[0].startswith("Not done with backup-")
    assert told[1:] == ["2 more were not tried."]
    assert not BackupHistory.objects.exclude(pin_reason="").exists()
    assert [noted.outcome for noted in AuditEntry.objects.all()] == ["failed"]


def test_what_a_store_says_of_one_backup_keeps_no_other_from_being_pinned(administrator: Client, bucket: str) -> None:
    good, cut = (BackupHistory.objects.get(s3_key=shelf.put(name, minutes=place)) for place, name in enumerate(("a", "b")))
    shelf._store().delete(cut.s3_key)
    shelf._store().put_new(cut.s3_key, b"of another size")
    assert said(act(administrator, "pin", cut, good, reason="why"))[1:] == ["1 backup is pinned: why"]


def test_after_a_minute_no_other_is_begun_and_that_is_said(
    administrator: Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LONGEST_SECONDS", 0)
    rows = [BackupHistory.objects.get(s3_key=shelf.put(f"n{one}", minutes=one)) for one in range(3)]
    assert said(act(administrator, "pin", *rows, reason="why")) == ["2 more were not tried.", "1 backup is pinned: why"]


@pytest.mark.parametrize("action", ["pin", "unpin", "verify"])
def test_more_than_a_page_of_them_is_refused_before_anything_is_done(
    administrator: Client, worker: list[str], action: str
) -> None:
    rows = [row(f"n{one}") for one in range(31)]
    answer = act(administrator, action, rows[0], select_across="1", reason="why")
    assert said(answer) == ["Nothing was done. Select at most 30 backups at once: as many as a page shows."]
    assert not BackupHistory.objects.exclude(pin_reason="").exists()
    assert not worker
    assert [(noted.action, noted.outcome) for noted in AuditEntry.objects.all()] == [(action, "refused")]


def test_without_a_worker_nothing_is_queued(administrator: Client) -> None:
    answer = act(administrator, "verify", row())
    assert "icb up" in said(answer)[0]
    assert not BackupRestore.objects.exists()
    administrator.post(f"/admin/backups/{BackupHistory.objects.get().pk}/verify/")
    assert [noted.outcome for noted in AuditEntry.objects.all()] == ["failed", "failed"]  # in the list as on its page


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"status": "failed"}, "is no whole backup: it is failed"),
        ({"deleted_at": timezone.now()}, "was deleted"),
    ],
)
@pytest.mark.parametrize("action", ["verify", "pin", "unpin", "compare"])
def test_where_there_is_nothing_of_it_that_is_said_before_anything_is_asked(
    administrator: Client, worker: list[str], action: str, fields: dict[str, object], why: str
) -> None:
    gone = row("gone", **fields)
    answer = act(administrator, action, *([gone, row("there")] if action == "compare" else [gone]))
    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert [(gone.filename in told, why in told, "Choose one that has succeeded" in told) for told in said(answer)] == [
        (True, True, True)
    ]

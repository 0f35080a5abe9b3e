"""The list of backups, as a browser sees it, and what can be done with those that are selected."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups.admin import bulk
from backups.audited import AuditEntry
from backups.models import BackupHistory, BackupRestore
from backups.storage import keys
from tests.integration import shelf
from tests.panel.workers import alive

pytestmark = pytest.mark.usefixtures("history")
LIST = "/admin/backups/backuphistory/"


@pytest.fixture
def viewer(browser_of: Callable[..., Client]) -> Client:
    return browser_of("backup viewer")


@pytest.fixture
def administrator(browser_of: Callable[..., Client]) -> Client:
    return browser_of("backup administrator")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody takes backups from the queue; the ids of the rows that messages were sent for."""
    return alive(monkeypatch).ids


def row(name: str = "one", **fields: object) -> BackupHistory:
    """A succeeded backup in the history alone."""
    at = fields.pop("created_at", timezone.now())
    number = BackupHistory.objects.count()
    given = {
        "filename": f"backup-2026-11-22T1200-{name}-{number}.dump",
        "description": name,
        "environment": "testing",
        "database": "shop",
        "status": "succeeded",
        "created_at": at,
        "started_at": at,
        "finished_at": at,
        "duration_seconds": 68.0,
        "size_bytes": 300 << 20,
        "database_size_bytes": 2 << 30,
        "bucket": "shop-backups",
        "s3_key": f"testing/{name}",
    }
    return BackupHistory.objects.create(**(given | fields))


def page(client: Client, query: str = "") -> str:
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")


def shown(client: Client, query: str = "") -> list[str]:
    """The names on the page, from the top."""
    return [line.row.description for line in client.get(LIST + query).context["cl"].lines]


def act(client: Client, action: str, *rows: BackupHistory, **more: str):  # type: ignore[no-untyped-def]
    """Selects rows and presses the button."""
    given = {"action": action, "_selected_action": [str(one.pk) for one in rows], "index": "0", **more}
    return client.post(LIST, given)


def said(answer) -> list[str]:  # type: ignore[no-untyped-def]
    """The messages that the next page shows."""
    return [str(one) for one in answer.wsgi_request._messages]


# What is shown


def test_a_line_tells_status_proof_sizes_duration_who_and_what_keeps_it(viewer: Client) -> None:
    user = get_user_model().objects.create_user("deploy")
    row("release", verified_at=timezone.now() - timedelta(hours=2), triggered_by=user, pin_reason="before the audit")
    text = page(viewer)
    for expected in (
        "Succeeded",
        "Verified 2 h ago",
        "300.0 MiB",
        "2.0 GiB",
        "1 min 8 s",
        "deploy",
        "Manual",
        "before the audit",
    ):
        assert expected in text
    assert "#bk-pin" in text


def test_of_a_run_that_nobody_is_known_for_nobody_is_told_but_the_schedule(viewer: Client) -> None:
    for fields, by in (({}, "–"), ({"backup_type": "scheduled"}, "schedule")):
        BackupHistory.objects.all().delete()
        row(**fields)
        assert [line.by for line in viewer.get(LIST).context["cl"].lines] == [by]


def test_a_line_leads_to_its_backup(viewer: Client) -> None:
    one = row()
    assert f'href="{reverse("backups_panel:backup", args=[one.pk])}"' in page(viewer)


def test_the_admin_s_address_of_a_backup_leads_to_its_page_too(viewer: Client) -> None:
    one = row()
    answer = viewer.get(reverse("admin:backups_backuphistory_change", args=[one.pk]))
    assert (answer.status_code, answer["Location"]) == (302, reverse("backups_panel:backup", args=[one.pk]))


def test_a_failed_one_says_why_in_its_line(viewer: Client) -> None:
    row("daily", status="failed", size_bytes=None, error_message="The store answered 503 SlowDown.\nMore of it.")
    text = page(viewer)
    assert "The store answered 503 SlowDown." in text
    assert "More of it" not in text
    assert "nothing stored" in text


def test_a_running_one_tells_how_far_it_is(viewer: Client) -> None:
    progress = {"done_bytes": 650, "total_bytes": 1000, "stored_bytes": 4096}
    row("now", status="running", size_bytes=None, duration_seconds=None, finished_at=None, progress=progress)
    text = page(viewer)
    assert "65% of 1,000 B" in text
    assert "4.0 KiB" in text
    assert "so far" in text


def test_deleted_and_missing_ones_are_told_from_those_that_are_there(viewer: Client) -> None:
    row("gone", deleted_at=timezone.now())
    row("lost", missing_at=timezone.now())
    row("here")
    text = page(viewer)
    assert "Deleted" in text
    assert "Missing" in text
    assert "3 in the history, 1 of them stored: 300.0 MiB" in text


def test_what_users_have_typed_is_no_html(viewer: Client) -> None:
    row("x", error_message="<script>alert(1)</script>", status="failed", pin_reason="<b>pin</b>")
    text = page(viewer)
    assert "<script>alert" not in text
    assert "<b>pin" not in text


def test_an_empty_history_says_how_to_make_the_first(viewer: Client, administrator: Client) -> None:
    assert "icb db backup first" in page(viewer)
    assert reverse("backups_panel:new") not in page(viewer)
    assert reverse("backups_panel:new") in page(administrator)


# What it can be narrowed to


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?status=failed", ["failed"]),
        ("?proof=verified", ["verified"]),
        ("?proof=never", ["never"]),
        ("?proof=failed", ["bad"]),
        ("?backup_type=scheduled", ["nightly"]),
        ("?environment=production", ["theirs"]),
        ("?database=other", ["elsewhere"]),
        ("?kept=pinned", ["pinned"]),
        ("?kept=deleted", ["deleted"]),
        ("?made=today&status=failed", ["failed"]),
        ("?q=nightl", ["nightly"]),
        ("?q=somebody", ["nightly"]),
        ("?q=nobody-of-this-name", []),
    ],
)
def test_the_list_can_be_narrowed(viewer: Client, query: str, names: list[str]) -> None:
    now = timezone.now()
    row("failed", status="failed")
    row("verified", verified_at=now)
    row("never") if query == "?proof=never" else None
    row("bad", verified_at=now, bad_at=now) if query == "?proof=failed" else None
    proven = {"verified_at": now} if query != "?proof=verified" else {"status": "cancelled"}
    somebody = get_user_model().objects.create_user("somebody")
    row("nightly", backup_type="scheduled", triggered_by=somebody, **proven)
    row("theirs", environment="production", **proven)
    row("elsewhere", database="other", **proven)
    row("pinned", pin_reason="why", **proven)
    row("deleted", deleted_at=now, **proven)
    assert shown(viewer, query) == names


def test_the_date_hierarchy_leads_from_months_to_days(viewer: Client) -> None:
    day = timezone.now().replace(year=2024, month=3, day=5, hour=12)
    row("march", created_at=day)
    row("later in march", created_at=day + timedelta(days=3))
    row("april", created_at=day + timedelta(days=30))
    dates = viewer.get(LIST).context["cl"].dates
    assert [one["title"] for one in dates["choices"]] == ["April 2024", "March 2024"]
    march = dates["choices"][1]["link"]
    assert shown(viewer, march) == ["later in march", "march"]
    inside = viewer.get(LIST + march).context["cl"].dates
    assert (inside["now"], [one["title"] for one in inside["choices"]]) == ("March", ["March 8", "March 5"])


def test_a_facet_with_a_single_choice_is_not_shown(viewer: Client) -> None:
    row()
    assert "Environment" not in [facet["title"] for facet in viewer.get(LIST).context["cl"].facets]
    row("theirs", environment="production")
    assert "Environment" in [facet["title"] for facet in viewer.get(LIST).context["cl"].facets]


def test_a_search_keeps_the_facets(viewer: Client) -> None:
    row()
    assert '<input type="hidden" name="status" value="succeeded">' in page(viewer, "?status=succeeded")


# Order and pages


def test_the_newest_come_first_and_each_column_sorts(viewer: Client) -> None:
    now = timezone.now()
    row("a", created_at=now - timedelta(days=2), size_bytes=3)
    row("b", created_at=now - timedelta(days=1), size_bytes=1)
    row("c", created_at=now, size_bytes=None, status="failed")
    assert shown(viewer) == ["c", "b", "a"]
    heads = viewer.get(LIST).context["cl"].headers
    assert heads["age"].order == "descending"
    assert shown(viewer, heads["stored"].address) == ["b", "a", "c"]
    assert shown(viewer, viewer.get(LIST + heads["stored"].address).context["cl"].headers["stored"].address) == ["a", "b", "c"]
    assert 'aria-sort="ascending"' in page(viewer, heads["stored"].address)


def test_pages_are_of_thirty_and_lead_to_each_other(viewer: Client) -> None:
    for number in range(31):
        row(f"n{number}", created_at=timezone.now() - timedelta(hours=number))
    first, second = page(viewer), page(viewer, "?p=2")
    assert "1 to 30 of 31" in first
    assert "31 to 31 of 31" in second
    assert 'href="?p=2" rel="next"' in first
    assert 'href="?" rel="prev"' in second or 'href="?p=1" rel="prev"' in second
    assert shown(viewer, "?p=2") == ["n30"]


@pytest.mark.parametrize("asked", ["?p=-1", "?p=7"])
def test_one_page_is_the_page_whatever_is_asked_for(viewer: Client, asked: str) -> None:
    row()
    shown = page(viewer, asked)
    assert "1 to 1 of 1" in shown
    assert "Show all" not in shown


def multiply(one: BackupHistory, *, times: int) -> None:
    """Makes so many rows of one, a minute apart; in SQL, as they are too many to be made one by one."""
    own = {
        "id": "gen_random_uuid()",
        "filename": "'many-' || n || '.dump'",
        "s3_key": "s3_key || n",
        "created_at": "created_at - n * interval '1 minute'",
    }
    columns = [field.column for field in BackupHistory._meta.concrete_fields]
    values = ", ".join(own.get(column, f'"{column}"') for column in columns)
    named = ", ".join(f'"{column}"' for column in columns)
    table = "admin.backup_history, generate_series(2, %s) n WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO admin.backup_history ({named}) SELECT {values} FROM {table}", [times, one.id])


def test_ten_thousand_rows_cost_the_queries_of_one_and_no_snapshot_is_read(viewer: Client) -> None:
    row("first", table_snapshot={"tables": ["x" * 100]})
    with CaptureQueriesContext(connection) as few:
        page(viewer)
    multiply(row("many", table_snapshot={}), times=10_000)
    with CaptureQueriesContext(connection) as many:
        assert "1 to 30 of 10,001" in page(viewer)
    assert len(many) == len(few)
    texts = [query["sql"] for query in many]
    assert sum("COUNT(" in text for text in texts) == 1
    for column in ("table_snapshot", "applied_migrations", "extensions", "warnings", '"guards"'):
        assert not any(column in text for text in texts)


@pytest.mark.parametrize("order", ["x", "99", "-", "1.x"])
def test_an_order_by_what_is_no_column_is_the_usual_one(viewer: Client, order: str) -> None:
    now = timezone.now()
    for number in range(5):
        row(f"n{number}", created_at=now - timedelta(hours=number))
    assert shown(viewer, f"?o={order}") == [f"n{number}" for number in range(5)]


@pytest.mark.parametrize("name", ["backuphistory", "backuprestore", "auditentry"])
@pytest.mark.parametrize("query", ["q=%00", "status=%00", "database=%00", "nothing=1", "created_at__year=x", "nothing=1&e=1"])
def test_what_is_no_filter_shows_the_whole_list_and_says_so(administrator: Client, name: str, query: str) -> None:
    answer = administrator.get(f"/admin/backups/{name}/?{query}", follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain[-1][0] == f"/admin/backups/{name}/"
    assert "so all of it is shown" in answer.content.decode()


@pytest.mark.parametrize("order", ["x", "99"])
def test_a_list_in_its_usual_order_is_not_called_sorted(viewer: Client, order: str) -> None:
    row()
    assert "Backups, newest first" in page(viewer, f"?o={order}")


@pytest.mark.parametrize(
    "query", ["status=zz", "proof=zz", "database=zz", "made=zz", "created_at__day=77", "created_at__month=0"]
)
def test_a_value_that_a_filter_does_not_have_is_left_out_and_said(viewer: Client, query: str) -> None:
    row("shop", database="shop")
    answer = viewer.get(f"{LIST}?{query}&backup_type=manual", follow=True)
    assert answer.redirect_chain == [(f"{LIST}?backup_type=manual", 302)]
    assert [line.row.description for line in answer.context["cl"].lines] == ["shop"]
    assert f"has no “{query.partition('=')[2]}”, so it was left out" in answer.content.decode()


# Who may do what


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


def test_whoever_may_not_see_the_list_is_told_so_and_it_is_noted(browser_of: Callable[..., Client]) -> None:
    answer = browser_of().get(LIST)
    assert answer.status_code == 403
    assert "You may not do this" in answer.content.decode()
    assert AuditEntry.objects.get().action == "list"


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


# What can be done with the selected


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
    assert f"No store has {missing.filename} any more" in text
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


def test_a_pin_asks_only_for_those_that_can_be_pinned(administrator: Client) -> None:
    gone, there = row("gone", status="failed"), row("there")
    answer = act(administrator, "pin", gone, there)
    text = answer.content.decode()
    assert (f'value="{there.pk}"' in text, f'value="{gone.pk}"' in text) == (True, False)
    assert f"Not done with {gone.filename}" in text
    assert AuditEntry.objects.get(action="pin").outcome == "refused"


def test_whoever_takes_away_a_pin_that_is_none_is_told_so(administrator: Client, bucket: str) -> None:
    one = BackupHistory.objects.get(s3_key=shelf.put("one"))
    assert said(act(administrator, "unpin", one)) == [
        f"Not done with {one.filename}: It was not pinned, and nothing was changed."
    ]


def test_a_pin_asks_for_its_reason_and_then_keeps_it_in_history_and_bucket(administrator: Client, bucket: str) -> None:
    one = BackupHistory.objects.get(s3_key=shelf.put("kept"))
    asked = act(administrator, "pin", one)
    assert asked.status_code == 200
    assert "Why must it be kept?" in asked.content.decode()
    assert one.filename in asked.content.decode()

    given = {"action": "pin", "_selected_action": [str(one.pk)], "reason": "  before   the audit "}
    assert said(administrator.post(LIST, given)) == ["1 backup is pinned: before the audit"]
    one.refresh_from_db()
    assert one.pin_reason == "before the audit"
    assert shelf._store().read(keys.pin_key(one.s3_key), limit_bytes=100) == b"before the audit\n"
    noted = AuditEntry.objects.get(action="pin")
    assert (noted.outcome, noted.object, noted.detail) == ("done", one.filename, "before the audit")


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\0b", "a\x1b[31mb"])
def test_without_a_reason_that_can_be_kept_nothing_is_pinned(administrator: Client, reason: str) -> None:
    one = row()
    answer = act(administrator, "pin", one, reason=reason)
    assert answer.status_code == 400
    assert "Nothing was pinned." in answer.content.decode()
    one.refresh_from_db()
    assert one.pin_reason == ""


def test_a_pin_is_taken_away_and_that_is_noted(administrator: Client, bucket: str) -> None:
    one = BackupHistory.objects.get(s3_key=shelf.put("kept", pin_reason="why"))
    assert said(act(administrator, "unpin", one)) == ["1 backup is no longer pinned."]
    one.refresh_from_db()
    assert one.pin_reason == ""
    assert AuditEntry.objects.get(action="unpin").detail == "why"


def test_what_can_not_be_pinned_is_said_and_noted_and_the_others_are(administrator: Client, bucket: str) -> None:
    good = BackupHistory.objects.get(s3_key=shelf.put("good"))
    lost = BackupHistory.objects.get(s3_key=shelf.put("lost", minutes=1, dump=None, manifest=False))
    told = said(act(administrator, "pin", good, lost, reason="why"))
    assert [text for text in told if text.startswith(f"Not done with {lost.filename}")]
    assert told[-1] == "1 backup is pinned: why"
    assert AuditEntry.objects.filter(action="pin", object=lost.filename).exclude(outcome="done").count() == 1

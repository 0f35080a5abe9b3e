"""The history in Django's admin: to read, and nothing else."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from backups.audit import By, Channel, note
from backups.models import AuditEntry, BackupHistory, BackupRestore
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def rows(bucket: str) -> tuple[BackupHistory, BackupRestore]:
    """A backup and a restore of it, by a user who is no longer there; and texts that would be HTML."""
    user = get_user_model().objects.create_user("gone")
    shelf.put("kept", triggered_by=user, error_message="<script>alert(1)</script>")
    backup = BackupHistory.objects.get()
    restore = BackupRestore.objects.create(
        backup=backup,
        source_key=backup.s3_key,
        target_host="localhost",
        target_port=5432,
        target_database="<b>rescued</b>",
        target_environment="testing",
        status="succeeded",
        comparison_report={"tables": 1, "rows": 5000, "equal": True, "differences": []},
        restored_by=user,
    )
    user.delete()
    return backup, restore


@pytest.fixture
def browser(history: None) -> Client:
    """A superuser's."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


NAMES = ["backuphistory", "backuprestore"]


def url(name: str, page: str, *arguments: object) -> str:
    return reverse(f"admin:backups_{name}_{page}", args=arguments)


@pytest.mark.parametrize("name", NAMES)
def test_the_list_is_read_and_each_row_has_a_page_of_the_panel(
    browser: Client, rows: tuple[BackupHistory, BackupRestore], name: str
) -> None:
    row = rows[NAMES.index(name)]
    address = f"/admin/backups/{row.pk}/" if name == "backuphistory" else f"/admin/backups/restores/{row.pk}/"
    listed, shown = browser.get(url(name, "changelist")), browser.get(url(name, "change", row.pk))
    assert (listed.status_code, shown.status_code, shown["Location"]) == (200, 302, address)
    pages = listed.content.decode() + browser.get(address, HTTP_ACCEPT="text/html").content.decode()
    assert str(rows[0].s3_key) in pages
    assert "<script>alert" not in pages
    assert "<b>rescued" not in pages


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("query", ["?q=kept", "?status=succeeded", "?created_at__year=2024", "?o=-1"])
def test_the_list_can_be_searched_filtered_and_sorted(
    browser: Client, rows: tuple[BackupHistory, BackupRestore], name: str, query: str
) -> None:
    assert browser.get(url(name, "changelist") + query).status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_nobody_can_add_change_or_delete(browser: Client, rows: tuple[BackupHistory, BackupRestore], name: str) -> None:
    row = rows[NAMES.index(name)]
    assert browser.get(url(name, "add")).status_code == 403
    assert browser.post(url(name, "add"), {"filename": "x"}).status_code == 403
    assert browser.post(url(name, "change", row.pk), {"status": "failed"}).status_code == 403
    assert browser.post(url(name, "delete", row.pk), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"}
    browser.post(url(name, "changelist"), action)

    row.refresh_from_db()
    assert row.status == "succeeded"
    refused = AuditEntry.objects.order_by("at").values_list("actor", "action", "outcome", "object")
    assert list(refused) == [
        ("root", "add", "refused", url(name, "add")),
        ("root", "add", "refused", url(name, "add")),
        ("root", "change", "refused", url(name, "change", row.pk)),
        ("root", "delete", "refused", url(name, "delete", row.pk)),
    ]
    listed = browser.get(url(name, "changelist")).content.decode()
    assert "delete_selected" not in listed
    assert url(name, "add") not in listed


@pytest.mark.parametrize("name", NAMES)
def test_who_may_not_view_sees_nothing(rows: tuple[BackupHistory, BackupRestore], name: str) -> None:
    client = Client()
    assert client.get(url(name, "changelist")).status_code == 302  # to the login
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    assert client.get(url(name, "changelist")).status_code == 403
    for page in ("change", "history", "delete"):
        assert client.get(url(name, page, rows[NAMES.index(name)].pk)).status_code == 403
    assert [noted.action for noted in AuditEntry.objects.order_by("at")] == ["list", "retrieve", "retrieve", "delete"]


def test_a_user_who_is_gone_leaves_the_history_and_takes_his_name(rows: tuple[BackupHistory, BackupRestore]) -> None:
    for row in rows:
        row.refresh_from_db()
    assert (rows[0].triggered_by, rows[1].restored_by) == (None, None)


def test_a_user_who_was_lost_without_django_s_knowing_does_not_break_the_pages(
    browser: Client, rows: tuple[BackupHistory, BackupRestore]
) -> None:
    BackupHistory.objects.update(triggered_by_id=987654)
    BackupRestore.objects.update(restored_by_id=987654)
    for name, row in zip(NAMES, rows, strict=True):
        assert browser.get(url(name, "changelist")).status_code == 200
        assert browser.get(url(name, "change", row.pk)).status_code in (200, 302)
    BackupHistory.objects.update(triggered_by_id=None)
    BackupRestore.objects.update(restored_by_id=None)


def test_the_audit_is_read_by_whoever_may_see_it_and_by_nobody_else(browser: Client, groups: None) -> None:
    note(action="restore", outcome="refused", object="<b>x</b>", by=By(channel=Channel.WEB, actor="chris"))
    page = url("auditentry", "changelist")
    assert "chris" in browser.get(page).content.decode()
    assert "<b>x</b>" not in browser.get(page).content.decode()

    for group, code in ("backup operator", 403), ("backup administrator", 200):
        user = get_user_model().objects.create_user(group.replace(" ", "-"), is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        assert client.get(page).status_code == code

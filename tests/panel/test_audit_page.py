"""The audit as a page."""

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backups.audit import By, Channel, Outcome, note
from backups.models import AuditEntry

pytestmark = pytest.mark.usefixtures("history")
AUDIT = "/admin/backups/auditentry/"


def test_it_shows_who_did_what_and_why_it_was_refused(browser_of: Callable[..., Client]) -> None:
    by = By(channel=Channel.API, actor="deploy", token_name="ci", address="10.0.0.1")
    note(action="restore", outcome=Outcome.REFUSED, object="backup-x.dump", target="shop", detail="<b>no</b>", by=by)
    note(action="create", outcome=Outcome.QUEUED, object="backup-y.dump", by=by)
    client = browser_of("backup administrator")
    page = client.get(AUDIT).content.decode()
    for told in (
        "deploy",
        "token ci",
        "10.0.0.1",
        "backup-x.dump",
        "&lt;b&gt;no",
        "Refused",
        '<span class="pill run">',
        "Queued",
        "1 to 2 of 2",
    ):
        assert told in page
    assert "1 to 1 of 1" in client.get(f"{AUDIT}?outcome__exact=refused").content.decode()
    assert "1 to 1 of 1" in client.get(f"{AUDIT}?q=backup-y").content.decode()


def test_its_filter_has_each_action_once_and_does_not_read_every_entry_for_that(browser_of: Callable[..., Client]) -> None:
    by = By(channel=Channel.API, actor="deploy")
    for action in ("unpin", "create", "unpin", "cancel", "create"):
        note(action=action, outcome=Outcome.DONE, by=by)
    client = browser_of("backup administrator")
    with CaptureQueriesContext(connection) as asked:
        page = client.get(AUDIT).content.decode()
    assert re.findall(r'href="\?action=(\w+)"', page) == ["cancel", "create", "unpin"]
    assert [query for query in asked.captured_queries if "DISTINCT" in query["sql"] and '"action"' in query["sql"]] == []
    assert "1 to 2 of 2" in client.get(f"{AUDIT}?action=unpin").content.decode()


def test_an_audit_without_an_entry_has_no_action() -> None:
    assert AuditEntry.objects.actions() == []


@pytest.mark.parametrize("address", [AUDIT, f"{AUDIT}1/change/"])
def test_only_administrators_see_it_and_whoever_else_tries_is_noted(browser_of: Callable[..., Client], address: str) -> None:
    answer = browser_of("backup operator").get(address)
    assert answer.status_code == 403
    assert "You may not do this" in answer.content.decode()
    assert [(noted.outcome, noted.object) for noted in AuditEntry.objects.all()] == [("refused", address)]


def test_others_have_no_link_to_it(browser_of: Callable[..., Client]) -> None:
    client = browser_of("backup operator")
    assert AUDIT not in client.get("/admin/backups/").content.decode()

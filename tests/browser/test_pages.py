"""Every page, as people see it: in both colour schemes, wide and narrow, and as somebody of each group."""

from urllib.parse import urlsplit

import pytest
from django.urls import Resolver404, resolve, reverse

from backups.admin.urls import urlpatterns
from tests.browser.conftest import WindowOf
from tests.browser.furnishing import PANEL, Furnished
from tests.browser.site import GROUPS, Site
from tests.browser.window import Window

LOOKS = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
# Parts of pages, files, and what is only ever done.
NO_PAGES = {
    *("running", "checks", "backup-live", "restore-live"),
    *("download", "storage-download"),
    *("verify", "cancel", "pin", "unpin", "undo"),
}
# What is hidden from whom lacks it, by the names of addresses.
NEEDS = {
    "run": {"new", "cancel"},
    "verify": {"verify"},
    "download": {"download", "storage-download"},
    "restore": {"restore-backup", "undo"},
    "prune": {"prune", "delete", "pin", "unpin", "storage-delete"},
    "see_audit": {"backups_auditentry_changelist"},
}
MAY = {
    "nobody": set(),
    "viewer": set(),
    "operator": {"run", "verify"},
    "restorer": {"verify", "download", "restore"},
    "pruner": {"prune"},
    "administrator": set(NEEDS),
}


def forbidden_to(group: str) -> set[str]:
    """Names of the addresses that somebody of that group may not use."""
    return {name for action, names in NEEDS.items() if action not in MAY[group] for name in names}


def name_of(address: str) -> str:
    """Of the address of the panel or the admin; "" for one that is neither's."""
    try:
        return resolve(urlsplit(address).path).url_name or ""
    except Resolver404:
        return ""


def controls_of(window: Window) -> set[str]:
    """Where the links and buttons of a page lead to, by name."""
    found = window.page.evaluate(
        """() => [...document.querySelectorAll("a[href], form[action], button[formaction]")].map((one) =>
            one.href || one.getAttribute("formaction") || one.getAttribute("action"))"""
    )
    return {name_of(address) for address in found}


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_whoever_is_not_signed_in_sees_the_page_to_sign_in(window_of: WindowOf, scheme: str, width: int) -> None:
    window = window_of(scheme=scheme, width=width)
    window.visit(reverse("admin:index"))
    assert "Log in" in window.page.title()


def test_every_page_of_the_panel_is_looked_at_here(furnished: Furnished) -> None:
    looked_at = {name_of(address) for address in furnished.addresses().values()}
    assert {pattern.name for pattern in urlpatterns} - NO_PAGES <= looked_at


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_a_site_without_a_backup_tells_how_to_begin(empty_site: Site, window_of: WindowOf, scheme: str, width: int) -> None:
    window = window_of("administrator", scheme=scheme, width=width)
    for name in ("overview", "health", "new", "storage", "prune"):
        window.visit(reverse(f"{PANEL}:{name}"))
    for name in ("backuphistory", "backuprestore", "auditentry"):
        window.visit(reverse(f"admin:backups_{name}_changelist"))


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_an_administrator_sees_every_page(furnished: Furnished, window_of: WindowOf, scheme: str, width: int) -> None:
    window = window_of("administrator", scheme=scheme, width=width)
    for address in furnished.addresses().values():
        window.visit(address)


@pytest.mark.parametrize(("group", "scheme", "width"), [(group, *LOOKS[number % 4]) for number, group in enumerate(GROUPS[:-1])])
def test_what_one_may_not_do_is_not_shown_and_its_address_is_closed(
    furnished: Furnished, window_of: WindowOf, group: str, scheme: str, width: int
) -> None:
    window, closed = window_of(group, scheme=scheme, width=width), forbidden_to(group)
    for address in furnished.addresses().values():
        if name_of(address) == "django_celery_beat_periodictask_changelist":
            continue  # Django's own permissions decide about it
        is_closed = name_of(address) in closed
        window.visit(address, status=403 if is_closed else 200)
        assert controls_of(window) & closed == set(), address


def test_whoever_belongs_to_no_group_sees_nothing_and_is_told_why(window_of: WindowOf) -> None:
    window = window_of("nobody")
    page = window.visit(reverse(f"{PANEL}:overview"), status=403)
    assert "You may not do this" in page.inner_text("main")
    assert controls_of(window) & {name for names in NEEDS.values() for name in names} == set()

"""Every page, as people see it: in both colour schemes, wide and narrow, and as somebody of each group."""

from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from django.contrib import admin
from django.urls import Resolver404, resolve, reverse

from backups.admin.urls import urlpatterns
from backups.models import Incident
from tests.browser.conftest import WindowOf
from tests.browser.furnishing import LISTS, PAGES, PANEL, PLAIN, Furnished, empty_address_of
from tests.browser.site import GROUPS, Site
from tests.browser.window import AXED, LOOKS, Look, Window

# An address of the panel's may be the API's, too: below which part of it who has which.
PLACES = (("/admin/backups", "backups.admin.urls"), ("/admin", tuple(admin.site.get_urls())))
# Parts of pages, files, and what is only ever done.
NO_PAGES = {
    *("running", "checks", "backup-live", "restore-live"),
    *("download", "storage-download"),
    *("verify", "cancel", "pin", "unpin", "undo", "cancel-restore"),
}
# Of which a viewer sees other parts than an administrator.
SEEN_OTHERWISE = ("overview", "schedules", "storage", "backup", "backup that failed", "backup that runs", "restore")
AS_A_BROWSER = {"Accept": "text/html"}
# What is hidden from whom lacks it, by the names of addresses.
NEEDS = {
    "run": {"new", "cancel"},
    "verify": {"verify"},
    "download": {"download", "downloads", "storage-download"},
    "restore": {"restore-backup", "undo"},
    "prune": {"delete", "pin", "unpin", "storage-delete"},
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
    path = urlsplit(address).path
    for root, urlconf in PLACES:
        with suppress(Resolver404):
            return resolve(path.removeprefix(root), urlconf=urlconf).url_name or ""
    return ""


def controls_of(window: Window) -> set[str]:
    """Where the links and buttons of a page lead to, by name."""
    found = window.page.evaluate(
        """() => [...document.querySelectorAll("a[href]:not([href^='#']), form[action], button[formaction]")]
            .map((one) => one.href || one.getAttribute("formaction") || one.getAttribute("action"))"""
    )
    return {name_of(address) for address in found}


def test_whoever_is_not_signed_in_sees_the_page_to_sign_in(window_of: WindowOf) -> None:
    page = window_of().visit(reverse("admin:index"), looks=LOOKS)
    assert "Log in" in page.title()


@pytest.mark.parametrize("page", [*PLAIN, *LISTS])
@pytest.mark.usefixtures("bare_site")
def test_a_page_is_whole_where_there_is_no_backup_yet(window_of: WindowOf, page: str) -> None:
    window_of("administrator").visit(empty_address_of(page), looks=LOOKS, axed=AXED)


def test_every_page_of_the_panel_is_looked_at_here(furnished: Furnished) -> None:
    looked_at = {name_of(furnished.address_of(page)) for page in PAGES}
    assert {pattern.name for pattern in urlpatterns} - NO_PAGES <= looked_at


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_in_each_look(furnished: Furnished, window_of: WindowOf, page: str) -> None:
    window_of("administrator").visit(furnished.address_of(page), looks=LOOKS, axed=AXED)


def test_schedules_are_there_for_whoever_may_change_them(site: Site, window_of: WindowOf) -> None:
    window_of("root").visit(reverse("admin:django_celery_beat_periodictask_changelist"))


@pytest.mark.parametrize(("group", "look"), [(group, LOOKS[number]) for number, group in enumerate(GROUPS[:-1])])
def test_what_one_may_not_do_is_not_shown_and_its_address_is_closed(
    furnished: Furnished, window_of: WindowOf, group: str, look: Look
) -> None:
    window, closed = window_of(group, look), forbidden_to(group)
    addresses = [furnished.address_of(page) for page in PAGES]
    shut = [address for address in addresses if name_of(address) in closed]
    window.visit(shut[0], status=403)
    assert [address for address in shut if window.page.request.get(address, headers=AS_A_BROWSER).status != 403] == []
    for address in (address for address in addresses if address not in shut):
        window.visit(address, looks=[look], axed=())  # axe has seen them, with more on them
        assert controls_of(window) & closed == set(), address


@pytest.mark.parametrize("page", SEEN_OTHERWISE)
def test_a_page_is_whole_for_a_viewer_who_may_do_nothing(furnished: Furnished, window_of: WindowOf, page: str) -> None:
    window_of("viewer").visit(furnished.address_of(page), looks=AXED)


def test_the_answer_is_said_anew_when_servers_and_stores_have_answered_otherwise(
    furnished: Furnished, window_of: WindowOf
) -> None:
    window, address = window_of("viewer"), reverse(f"{PANEL}:overview")
    given = {"event": "bucket-reachable", "environment": "testing", "message": "It was so at the last look."}
    last_look = Incident.objects.create(key="bucket-reachable:shop-backups", **given)
    shop = window.page.locator("#bk-databases tr", has=window.page.get_by_role("link", name="shop", exact=True))
    try:
        at_first = window.page.request.get(address, headers=AS_A_BROWSER).text()
        assert "Not safe" in at_first[at_first.index(">shop</a>") :].partition("</td>")[0]
        window.visit(address)
    finally:
        last_look.delete()
    assert "Not safe" not in shop.inner_text()
    assert window.page.locator("#bk-verdict h1").count() == 1


def test_what_stands_against_a_plan_takes_the_place_of_the_page_that_was_there_at_once(
    furnished: Furnished, window_of: WindowOf
) -> None:
    window, address = window_of("administrator"), reverse(f"{PANEL}:restore-backup", args=[furnished.failed.id])
    window.expect_an_error_at(f"{address}?now=1")
    page = window.visit(address)
    assert "There is no backup" in page.get_by_role("heading", level=1).inner_text()
    assert page.evaluate("document.activeElement.tagName") == "H1"


def test_the_page_of_the_api_is_read_without_a_complaint(site: Site, window_of: WindowOf) -> None:
    window = window_of("viewer")
    page = window.visit(reverse("backups_api:docs"), looks=[LOOKS[0]], axed=())  # its markup is Swagger's own
    page.locator(".opblock").first.wait_for()
    window.examine(axe=False)


def test_whoever_belongs_to_no_group_sees_nothing_and_is_told_why(window_of: WindowOf) -> None:
    window = window_of("nobody")
    page = window.visit(reverse(f"{PANEL}:overview"), status=403)
    assert "You may not do this" in page.inner_text("main")
    assert controls_of(window) & {name for names in NEEDS.values() for name in names} == set()


def test_where_the_database_of_the_site_is_away_there_is_a_page_that_says_so(site: Site, window_of: WindowOf) -> None:
    window, address = window_of("viewer"), reverse(f"{PANEL}:overview")
    with site.without_its_database():
        page = window.visit(address, status=503, looks=LOOKS, axed=AXED)
    assert "The database of this site is away" in page.inner_text("main")
    page.get_by_role("link", name="Look again").click()
    page.get_by_role("navigation", name="Backups").wait_for()

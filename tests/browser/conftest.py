"""A real browser at the real site, for whoever is signed in: `window_of("viewer", Look("dark", 360))`.

Site and browser are there for as long as tests of this package run, and are gone before any other does: those look at a whole
server, and at the event loop of this thread.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Browser, sync_playwright
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from backups import heartbeats
from ichrisbirch_site.embedded import Home
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.browser.furnishing import Furnished, furnish
from tests.browser.site import ALIVE, PASSWORD, SHOP, Site, connected_to, opened
from tests.browser.window import LOOKS, Look, Window
from tests.conftest import database_of, server_of

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
NO_BROWSER = (
    "NO BROWSER IS HERE, SO NOBODY HAS LOOKED AT THE PANEL. Install one (Debian, Ubuntu: apt install chromium; "
    "elsewhere: .venv/bin/playwright install chromium), then run the tests again."
)
collect_ignore = [] if os.environ.get("ICB_SCREENSHOTS") else ["test_pictures.py"]
WindowOf = Callable[..., Window]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium: PATH's, or the one that playwright has installed."""
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip(NO_BROWSER)
        made = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture(scope="package")
def whole_site(
    browser: Browser, embedded_home: Home, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Site]:
    """The site; the browser is asked for first, as without one there is nothing to do."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "yes")
        with django_db_blocker.unblock():
            site = stack.enter_context(opened(server_of(PostgreSQL(embedded_home)), tmp_path_factory.mktemp("site")))
        yield site
        with django_db_blocker.unblock():
            stack.close()


@pytest.fixture
def site(
    whole_site: Site, settings: Settings, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """The site as the test before has left it. What a test does itself goes into the same database and bucket."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "yes")  # playwright's event loop is in this thread; nothing of ours is in it
    settings.BACKUPS, settings.STORAGES = whole_site.ours, whole_site.storages
    monkeypatch.setitem(connections.databases, SHOP, database_of(whole_site.shop))
    with django_db_blocker.unblock(), connected_to(whole_site.database.database):
        heartbeats.beat(*ALIVE)  # the scheduler's minute
        yield whole_site
        connections[SHOP].close()
        del connections[SHOP]


@pytest.fixture
def empty_site(site: Site, stock: list[Furnished | None]) -> Site:
    """The site with an empty history, an empty bucket, and a shop that is as it was at first."""
    stock.clear()
    site.forget()
    site.make_shop()
    return site


@pytest.fixture
def bare_site(site: Site, stock: list[Furnished | None]) -> Site:
    """The site with an empty history and an empty bucket, to be looked at only: the next test has the same."""
    if stock != [None]:
        site.forget()
        stock[:] = [None]
    return site


@pytest.fixture
def furnished(site: Site, stock: list[Furnished | None]) -> Furnished:
    """What is on a site that has been in use for a while, to be looked at only: the next test has the same."""
    found = next(iter(stock), None)
    if found is None:
        site.forget()
        found = furnish(site)
        stock[:] = [found]
    return found


@pytest.fixture(scope="package")
def stock() -> list[Furnished | None]:
    """What the site is furnished with: nothing known, or None, which is nothing, or all of it."""
    return []


@pytest.fixture(scope="package")
def signed_in(whole_site: Site, browser: Browser) -> Callable[[str], Any]:
    """What a browser keeps of a user who has signed in by the form, once each."""
    known: dict[str, Any] = {}

    def sign_in(user: str) -> Any:
        if user not in known:
            with browser.new_context(base_url=whole_site.url) as context:
                page = context.new_page()
                page.goto("/admin/login/?next=/admin/backups/")
                page.get_by_label("Username").fill(user)
                page.get_by_label("Password").fill(PASSWORD)
                page.get_by_role("button", name="Log in").click()
                page.wait_for_url("**/admin/backups/")
                known[user] = context.storage_state()
        return known[user]

    return sign_in


@pytest.fixture
def window_of(site: Site, browser: Browser, signed_in: Callable[[str], Any]) -> Iterator[WindowOf]:
    """A window in which that user is signed in (nobody is, where none is named), and which looks like that.

    Whatever the browser complained about by the end of the test fails it.
    """
    opened: list[Window] = []
    with ExitStack() as stack:

        def open_(user: str = "", look: Look = LOOKS[0]) -> Window:
            context = browser.new_context(
                base_url=site.url,
                storage_state=signed_in(user) if user else None,
                color_scheme=look.scheme,
                viewport={"width": look.width, "height": look.height},
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="Europe/Berlin",
            )
            stack.enter_context(context)
            context.set_default_timeout(30_000)
            opened.append(Window.of(context, look))
            return opened[-1]

        yield open_
    assert [complaint for window in opened for complaint in window.complaints] == []

"""Times as the viewer's clock shows them."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from backups.admin.zone import COOKIE, in_viewers_zone


@in_viewers_zone
def page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(timezone.get_current_timezone()))


def zone_for(cookie: str | None) -> str:
    request = RequestFactory().get("/")
    if cookie is not None:
        request.COOKIES[COOKIE] = cookie
    return page(request).content.decode()


def test_a_page_is_rendered_in_the_zone_that_the_browser_says() -> None:
    assert zone_for("Asia/Tokyo") == "Asia/Tokyo"


@pytest.mark.parametrize("cookie", [None, "", "Nowhere", "../../etc/passwd", "posix/UTC\0"])
def test_without_a_zone_that_there_is_it_is_that_of_the_backups(cookie: str | None) -> None:
    assert zone_for(cookie) == "UTC"


def test_the_zone_of_one_viewer_is_not_that_of_the_next() -> None:
    zone_for("Asia/Tokyo")
    assert str(timezone.get_current_timezone()) == "UTC"

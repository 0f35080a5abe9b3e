"""Every page, as people see it: in both colour schemes, wide and narrow."""

import pytest

from tests.browser.conftest import WindowOf

LOOKS = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_whoever_is_not_signed_in_can_sign_in(window_of: WindowOf, scheme: str, width: int) -> None:
    window = window_of(scheme=scheme, width=width)
    window.visit("/admin/backups/")
    assert "Log in" in window.page.title()


def test_overview(window_of: WindowOf) -> None:
    window = window_of("viewer")
    window.visit("/admin/backups/")
    window.visit("/admin/backups/backuphistory/")
    window_of("nobody").visit("/admin/backups/", status=403)

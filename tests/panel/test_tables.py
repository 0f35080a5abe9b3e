"""The tables of a backup, each compared with the backup before."""

import re

import pytest
from django.test import Client
from django.utils.html import strip_tags

from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from backups.types import Server
from tests.conftest import connect
from tests.integration.health import made
from tests.panel.one_backup import address, words_of

pytestmark = pytest.mark.usefixtures("history")


def test_tables_are_compared_with_the_backup_before_and_what_has_fallen_is_marked(
    viewer: Client, backup: BackupHistory, source: Server
) -> None:
    with connect(source) as session:
        session.execute("DELETE FROM event WHERE id > 1000; INSERT INTO shop.customer (name) VALUES ('one more')")
        session.execute("CREATE TABLE shop.added ()")
    row = DatabaseBackup(description="later", database="source").run()
    page = viewer.get(address(row)).content.decode()
    assert f"{backup.id}/diff/{row.id}/" in page
    lines = {name: strip_tags(cells) for name, cells in re.findall(r'class="key">([^<]+)</th>(.*?)</tr>', page)}
    assert "\N{MINUS SIGN}4,000\N{MINUS SIGN}80.0%" in lines["public.event"]
    assert "+1+0.5%" in lines["shop.customer"]
    assert "\N{MINUS SIGN}1,000gone" in lines["shop.purchase"]
    assert len(re.findall(r'class="num fell"', page)) == 4
    words = words_of(viewer, address(row))
    assert "2 tables shrank" in words
    assert "public.event has lost 80%" in words


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["public.event", "shop.customer", "shop.purchase"]),
        ("-name", ["shop.purchase", "shop.customer", "public.event"]),
        ("-rows", ["public.event", "shop.purchase", "shop.customer"]),
        ("rows", ["shop.customer", "shop.purchase", "public.event"]),
        ("'; DROP", ["public.event", "shop.purchase", "shop.customer"]),
    ],
)
def test_tables_are_sorted_by_a_link(viewer: Client, backup: BackupHistory, sort: str, names: list[str]) -> None:
    page = viewer.get(address(backup), {"sort": sort}).content.decode()
    assert re.findall(r'class="key">([^<]+)</th>', page) == names
    if sort in ("name", "rows"):
        assert page.count('aria-sort="ascending"') == 1


def test_many_tables_are_shown_when_they_are_asked_for(viewer: Client) -> None:
    tables = [{"schema": "public", "table": f"t{n:03}", "rows": n, "bytes": n << 10} for n in range(40)]
    row = made("shop", table_snapshot={"tables": tables, "total": {"tables": 40, "rows": 780, "bytes": 9}})
    assert words_of(viewer, address(row)).count("public.t") == 12
    assert "All 40 tables" in words_of(viewer, address(row))
    assert words_of(viewer, address(row, "?tables=all")).count("public.t") == 40

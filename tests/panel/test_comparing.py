"""Two backups compared in the panel: by their manifests, on a real bucket."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.admin.comparing import groups_of, summary_of
from backups.changes import compare
from backups.models import BackupHistory
from backups.types import Snapshot, TableRows
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history", "bucket")


def table(name: str, rows: int) -> TableRows:
    return TableRows(schema="public", table=name, rows=rows, bytes=rows * 100)


BEFORE = (table("gone", 1000), table("shrunk", 500), table("same", 7), table("grown", 10))
AFTER = (table("shrunk", 5), table("same", 7), table("grown", 40), table("added", 3))


def seen(*tables: TableRows, **more: object) -> Snapshot:
    return replace(shelf.SNAPSHOT, tables=tables, **more)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> tuple[BackupHistory, BackupHistory]:
    """An older and a newer backup, whose manifests tell BEFORE and AFTER."""
    monkeypatch.setattr(shelf, "SNAPSHOT", seen(*BEFORE))
    old = shelf.put("old")
    newer = seen(*AFTER, migrations=("shop.0002_more",), extensions=(("plpgsql", "1.0"), ("citext", "1.6")))
    monkeypatch.setattr(shelf, "SNAPSHOT", newer)
    new = shelf.put("new", minutes=5)
    return BackupHistory.objects.get(s3_key=old), BackupHistory.objects.get(s3_key=new)


def page(client: Client, one: BackupHistory, other: BackupHistory) -> str:
    answer = client.get(reverse("backups_panel:diff", args=[one.pk, other.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_backup_is_not_compared_with_itself(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    answer = viewer.get(reverse("backups_panel:diff", args=[two[0].pk, two[0].pk]))
    assert answer.status_code == 400
    assert f"{two[0].filename} can&#x27;t be compared with itself" in answer.content.decode()
    assert "Tick two backups in the history" in answer.content.decode()


def test_what_was_lost_comes_first_and_then_what_has_come(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    text = page(viewer, *two)
    order = [text.index(f'id="of-{kind}"') for kind in ("gone", "shrunk", "added", "grown")]
    assert order == sorted(order)
    assert "1 table is gone, 1 has shrunk, 1 was added, 1 has grown; 1 table has as many rows as before." in text
    assert "500 → 5" in text
    assert "\N{MINUS SIGN}495" in text
    assert "\N{MINUS SIGN}99.0%" in text


def test_a_heading_counts_those_that_are_not_shown_too(
    viewer: Client, two: tuple[BackupHistory, BackupHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "SNAPSHOT", seen(*AFTER, *(table(f"more{number}", number) for number in range(1, 301))))
    many = BackupHistory.objects.get(s3_key=shelf.put("many", minutes=9))
    text = page(viewer, two[1], many)
    assert ("300 tables</span>" in text, "and 100 more tables like these" in text) == (True, True)


def test_migrations_extensions_and_the_whole_are_told(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    text = page(viewer, *two)
    assert "shop.0002_more" in text
    assert "citext 1.6" in text
    assert "1,517 → 55" in text


def test_the_other_way_round_is_one_link_away_and_says_that_the_first_is_the_younger(
    viewer: Client, two: tuple[BackupHistory, BackupHistory]
) -> None:
    old, new = two
    assert f'href="{reverse("backups_panel:diff", args=[new.pk, old.pk])}"' in page(viewer, old, new)
    assert "The first is the younger one" in page(viewer, new, old)


def test_the_command_that_brings_a_lost_table_back_stands_there(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    old, new = two
    command = f"icb db restore {old.filename} --table public.gone --into-schema rescued --target-dbname shop"
    assert command in page(viewer, old, new)
    assert "--into-schema" not in page(viewer, new, old)


def test_nothing_is_inline(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    assert " style=" not in page(viewer, *two)


def test_a_backup_that_is_gone_from_the_store_is_said_to_be(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    lost = BackupHistory.objects.get(s3_key=shelf.put("lost", minutes=9, dump=None, manifest=False))
    answer = viewer.get(reverse("backups_panel:diff", args=[two[0].pk, lost.pk]))
    assert answer.status_code == 404
    assert lost.filename in answer.content.decode()


def test_an_id_that_nobody_has_is_not_found(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    assert viewer.get(reverse("backups_panel:diff", args=[two[0].pk, unknown])).status_code == 404


def test_who_may_not_view_is_refused(browser_of: Callable[..., Client], two: tuple[BackupHistory, BackupHistory]) -> None:
    assert browser_of().get(reverse("backups_panel:diff", args=[two[0].pk, two[1].pk])).status_code == 403


def test_bars_are_to_one_scale_and_go_left_where_rows_were_lost() -> None:
    gone, shrunk, added, _grown = groups_of(compare(seen(*BEFORE), seen(*AFTER)))
    assert (gone.tables[0].x, gone.tables[0].width) == ("0.00", "50.00")
    assert (shrunk.tables[0].x, shrunk.tables[0].width) == ("25.25", "24.75")
    assert (added.tables[0].x, added.tables[0].width) == ("50.00", "0.15")


def test_of_very_many_tables_the_largest_are_shown_and_the_rest_counted() -> None:
    changes = compare(seen(), seen(*(table(f"t{number}", number) for number in range(1, 301))))
    (added,) = groups_of(changes)
    assert (len(added.tables), added.more, added.tables[0].name) == (200, 100, "public.t300")
    assert summary_of(changes) == "300 were added."


def test_one_that_was_deleted_is_not_compared_and_why_is_said(viewer: Client, two: tuple[BackupHistory, BackupHistory]) -> None:
    BackupHistory.objects.filter(pk=two[0].pk).update(deleted_at=timezone.now())
    answer = viewer.get(reverse("backups_panel:diff", args=[two[0].pk, two[1].pk]))
    assert answer.status_code == 409
    assert f"{two[0].filename} was deleted" in answer.content.decode()

"""What the list of backups can be narrowed to, its order and its pages."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import BackupHistory
from tests.panel.listed import LIST, page, row, shown

pytestmark = pytest.mark.usefixtures("history")


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

"""What a restore or verification has found, told from its row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from backups.admin.restore_report import Report
from backups.models import BackupHistory, BackupRestore

EQUAL: dict[str, Any] = {"tables": 3, "rows": 6200, "equal": True, "differences": [], "remarks": []}
ENDED = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
NAME = "backup-2026-11-22T0030-daily.dump"


def report(status: str = "succeeded", **row: Any) -> Report:
    given = {"target_database": "shop", "target_host": "db1", "target_port": 5432, "started_at": ENDED, "finished_at": ENDED}
    backup = BackupHistory(filename=NAME, description="daily")
    return Report(BackupRestore(status=status, **{"backup": backup, "comparison_report": {}, **given, **row}))


def verified(verdict: str, level: str = "restored", **row: Any) -> Report:
    status = "succeeded" if verdict == "good" else "failed"
    return report(status, purpose="verification", verdict=verdict, level=level, **row)


def copy(where: str, worth: str) -> dict[str, Any]:
    return {"where": where, "worth": worth, "reads": 1, "said": "", "hint": ""}


def test_a_restore_that_was_compared_says_that_every_row_is_there() -> None:
    told = report(comparison_report=EQUAL)
    assert (told.seal, told.heading) == ("ok", "shop was restored")
    assert told.lead == "All 3 tables hold exactly the rows that the backup counted: 6,200."
    assert [line.label for line in told.lines] == ["OK", "OK", "OK"]


def test_a_single_table_without_rows_is_told_in_the_singular() -> None:
    told = report(comparison_report={"tables": 1, "rows": 0, "equal": True, "schema_only": True})
    assert told.lead == "Its one table is there, without rows, as was chosen."


def test_of_an_undone_restore_it_is_told_what_was_there_until_then() -> None:
    told = report(comparison_report=EQUAL, undone_at=ENDED)
    assert told.lead == "All 3 tables held exactly the rows that the backup counted, 6,200, until it was undone."


@pytest.mark.parametrize(
    ("level", "heading"),
    [
        ("restored", "The backup is good"),
        ("readable", "The whole archive can be read"),
        ("stored", "The store holds the bytes that were backed up"),
    ],
)
def test_a_backup_is_called_good_only_where_it_was_restored(level: str, heading: str) -> None:
    assert verified("good", level).heading == heading


def test_a_copy_that_is_damaged_is_not_hidden_behind_one_that_is_good() -> None:
    told = verified("good", "stored", comparison_report={"copies": [copy("s3://a", "damaged"), copy("/b", "good")]})
    assert (told.seal, told.heading) == ("bad", "The backup is good, but one of its copies is not")
    assert [one["where"] for one in told.copies] == ["s3://a"]
    assert [one["where"] for one in told.good_copies] == ["/b"]


def test_what_could_not_be_verified_says_nothing_about_the_backup() -> None:
    told = verified("unable", "stored")
    assert (told.seal, told.heading) == ("none", "The backup could not be verified here")
    assert "says nothing about the backup" in told.lead
    assert told.again == f"icb db verify {NAME} --level stored"


def test_migrations_that_do_not_fit_are_a_warning() -> None:
    migrations = {"behind": ["shop.0043"], "unknown": [], "words": "1 migration behind this code: run migrate"}
    line = report(comparison_report=EQUAL | {"migrations": migrations}).lines[-1]
    assert (line.label, line.detail) == ("Warn", "1 migration behind this code: run migrate")


@pytest.mark.django_db
def test_a_loaded_database_that_differs_was_not_put_in_place_and_another_backup_is_to_be_chosen() -> None:
    difference = {"kind": "table", "words": "event has 4998 rows; the backup has 5000"}
    told = report("failed", comparison_report=EQUAL | {"equal": False, "differences": [difference]})
    assert told.lead == "What was loaded is not what was backed up. It was not put in place."
    assert [line.text for line in told.lines if line.label == "Bad"] == ["Rows of every table", difference["words"]]
    assert told.again == "icb db list"


def test_in_place_nothing_is_said_of_extensions_which_are_left_as_they_are() -> None:
    assert "Extensions" not in {line.text for line in report(mode="in-place", comparison_report=EQUAL).lines}


def test_the_next_command_leads_to_the_same_target() -> None:
    told = report("failed", error_message="out of disk")
    assert told.again == f"icb db restore {NAME} --target-host db1 --target-port 5432 --target-dbname shop"
    assert report("failed", mode="in-place").again.endswith("--target-dbname shop --in-place")


def test_of_what_was_put_beside_nobody_knows_the_choices_any_more() -> None:
    assert report("failed", mode="beside").again == ""


def test_what_was_replaced_in_place_comes_back_from_the_backup_of_before() -> None:
    told = report(mode="in-place", safety_backup="backup-before.dump")
    assert told.back_in_place.startswith("icb db restore backup-before.dump --in-place")
    assert report("failed", mode="in-place", safety_backup="backup-before.dump").back_in_place == ""


def test_what_was_replaced_is_kept_as_long_as_the_settings_say(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 3}
    told = report(kept_database="shop_before")
    assert told.kept_until == datetime(2026, 11, 25, 14, 0, tzinfo=UTC)
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": None}
    assert told.kept_until is None
    assert not told.is_overdue
    assert not report("failed", kept_database="shop_before").is_kept


def test_what_was_kept_anew_by_a_second_swap_is_kept_from_then_on(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 3}
    now = datetime.now(UTC)
    assert not report(kept_database="shop_before", finished_at=now - timedelta(days=9), kept_at=now).is_overdue
    assert report(kept_database="shop_before", finished_at=now, kept_at=now - timedelta(days=9)).is_overdue

"""How far a backup is, told from its row."""

from datetime import UTC, datetime, timedelta

import pytest

from backups.admin.progress import Making
from backups.models import BackupHistory

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def running(phase: str = "dumping", *, heard_ago: float = 0, **told: object) -> Making:
    progress = {"phase": phase, "at": (NOW - timedelta(seconds=heard_ago)).isoformat(), **told}
    row = BackupHistory(status="running", started_at=NOW - timedelta(seconds=60), progress=progress)
    return Making(row=row, now=NOW)


@pytest.mark.parametrize(("heard_ago", "rate", "is_left_told"), [(1, 7, True), (16, None, False)])
def test_rate_and_time_left_are_told_only_while_it_is_heard_of(heard_ago: float, rate: int | None, is_left_told: bool) -> None:
    run = running(heard_ago=heard_ago, done_bytes=50, total_bytes=100, rate=7)
    assert (run.rate, run.told_left != "") == (rate, is_left_told)


def test_a_table_of_which_an_older_worker_told_less_is_shown_with_what_there_is() -> None:
    (line,) = running(tables={"largest": [{"name": "public.users"}]}).largest
    assert (line.name, line.bytes, line.share, line.took) == ("public.users", 0, 0, "waits")


def test_a_phase_that_nobody_knows_is_at_no_step() -> None:
    assert [step.kind for step in running("polishing").steps] == ["todo"] * 5

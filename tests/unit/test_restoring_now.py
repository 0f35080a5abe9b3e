"""How far a restore or verification is, told from its row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backups.admin.restoring_now import Restoring
from backups.models import BackupRestore

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def restoring(
    phase: str = "", *, status: str = "running", begun: bool = True, told: dict[str, Any] | None = None, **row: Any
) -> Restoring:
    given = {"purpose": "restore", "target_database": "shop", "target_port": 1, "created_at": NOW - timedelta(seconds=90)} | row
    progress = {"phase": phase, "at": NOW.isoformat(), **(told or {})} if phase else {}
    started = NOW - timedelta(seconds=61) if begun else None
    return Restoring(row=BackupRestore(status=status, started_at=started, progress=progress, **given), now=NOW)


def now_at(run: Restoring) -> list[str]:
    return [step.text for step in run.steps if step.kind == "now"]


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("", 0),
        ("checking", 0),
        ("downloading", 1),
        ("loading", 2),
        ("comparing", 3),
        ("neutralizing", 4),
        ("carrying the history over", 4),
        ("swapping", 5),
    ],
)
def test_each_phase_of_a_restore_is_one_of_its_steps(phase: str, number: int) -> None:
    steps = restoring(phase).steps
    assert [step.kind for step in steps] == ["", "", "", "", "", ""][:number] + ["now"] + ["todo"] * (5 - number)


@pytest.mark.parametrize("phase", ["backing up what is there", "dumping", "counting rows", "completing"])
def test_in_place_what_is_there_is_backed_up_first(phase: str) -> None:
    assert "Back up what is there" in now_at(restoring(phase, mode="in-place"))[0]


def test_the_schema_that_it_is_put_into_belongs_to_the_last_step() -> None:
    assert now_at(restoring("putting them into the schema", mode="beside"))[0].startswith("Put it where it was wanted")


@pytest.mark.parametrize(("level", "number"), [("stored", 2), ("readable", 3), ("restored", 6)])
def test_a_verification_has_the_steps_of_its_level(level: str, number: int) -> None:
    run = restoring("reading", purpose="verification", level=level)
    assert len(run.steps) == number
    assert run.steps[1].kind == "now"


def test_a_step_that_counts_bytes_tells_how_many_and_about_how_long() -> None:
    run = restoring("loading", told={"done_bytes": 60 << 20, "total_bytes": 100 << 20, "rate": 4 << 20})
    assert (run.heading, run.percent) == ("Loading, 60%", 60)
    assert run.told_left.replace("\xa0", " ") == "about 10 s left of this step"
    assert run.told_so_far.replace("\xa0", " ") == "1 min 1 s so far"


@pytest.mark.parametrize("rate", [None, 0, -5])
def test_without_a_rate_nothing_is_said_of_the_time_that_is_left(rate: int | None) -> None:
    assert restoring("loading", told={"done_bytes": 1, "total_bytes": 2, "rate": rate}).told_left == ""


def test_what_is_not_measured_has_no_percentage() -> None:
    run = restoring("decoding")
    assert (run.percent, run.rate, run.heading, run.aloud) == (None, None, "Decoding", "Decoding")


def test_what_nobody_has_begun_is_at_no_step() -> None:
    run = restoring(status="pending", begun=False)
    assert (run.heading, now_at(run)) == ("Queued, waits for a worker", [])


def test_what_was_asked_to_stop_is_at_no_step_any_more() -> None:
    run = restoring("cancelling", cancel_requested_at=NOW)
    assert (run.heading, now_at(run)) == ("Stopping", [])


def test_something_is_said_aloud_with_each_quarter_and_each_step() -> None:
    at = [restoring("loading", told={"done_bytes": done, "total_bytes": 100}).said_at for done in (1, 24, 25, 99)]
    assert at[0] == at[1] != at[2] != at[3]
    assert restoring("comparing", told={"done_bytes": 1, "total_bytes": 100}).said_at != at[0]


def test_a_phase_that_nobody_knows_is_told_as_it_is() -> None:
    assert restoring("polishing").heading == "Polishing"


def test_a_phase_that_nobody_knows_is_at_no_step() -> None:
    assert now_at(restoring("polishing")) == []


@pytest.mark.parametrize("phase", ["taking the snapshot", "dumping", "counting rows", "completing"])
def test_whatever_the_backup_before_it_does_is_told_as_that_backup(phase: str) -> None:
    assert restoring(phase, mode="in-place").heading == "Backing up what is there"


def test_the_schema_that_it_is_put_into_is_told_in_words_that_can_be_translated() -> None:
    assert restoring("putting them into the schema", mode="beside").heading == "Putting them into the schema"


@pytest.mark.parametrize("at", [(NOW - timedelta(seconds=16)).isoformat(), ""])
def test_of_what_was_not_heard_of_lately_neither_rate_nor_time_left_is_told(at: str) -> None:
    run = restoring("loading", told={"done_bytes": 60 << 20, "total_bytes": 100 << 20, "rate": 4 << 20, "at": at})
    assert (run.rate, run.told_left, run.percent) == (None, "", 60)


@pytest.mark.parametrize(
    ("phase", "total", "ago", "silent"), [("loading", 9, 16, 16), ("loading", 9, 2, None), ("comparing", 0, 16, None)]
)
def test_silence_is_told_where_a_step_is_counted(phase: str, total: int, ago: int, silent: float | None) -> None:
    at = (NOW - timedelta(seconds=ago)).isoformat()
    assert restoring(phase, told={"done_bytes": 0, "total_bytes": total, "at": at}).silent_for == silent


def test_a_step_that_is_over_tells_how_long_it_took_where_that_was_measured() -> None:
    run = restoring("comparing", told={"took": {"checking": 0.4, "downloading": 70.0, "proving": 5.0}})
    assert [step.took.replace("\N{NO-BREAK SPACE}", " ") for step in run.steps] == ["0.4 s", "1 min 15 s", "", "", "", ""]


def test_the_step_that_is_at_work_does_not_tell_how_long_it_took() -> None:
    run = restoring("downloading", told={"took": {"checking": 1.0, "reading": 3.0}})
    assert [step.took != "" for step in run.steps[:2]] == [True, False]

"""What the commands print, and rows tell: everything in its line, once, and by its name."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from backups.coverage import Coverage, Finding, Level
from backups.exceptions import LoadError
from backups.management import coverage_text, health_text, prune_text
from backups.models import BackupRestore
from backups.prune import Fate, Judged, Pruning
from backups.recorded import Recorded
from backups.retention import Candidate, Policy
from backups.types import Check, Server, State

ONE = Candidate(
    id=UUID(int=1),
    filename="backup-2026-11-22T0130-daily.dump",
    environment="production",
    database="shop",
    finished_at=datetime(2026, 11, 22, tzinfo=UTC),
    size_bytes=1,
    cluster="7412",
)


def judged(*candidates: Candidate, why: str = "newest verified") -> Pruning:
    backups = [Judged(candidate=one, fate=Fate.KEEP, reasons=(why,)) for one in candidates]
    return Pruning(policy=Policy(keep_last=1), is_dry_run=True, backups=backups)


def test_health_has_a_line_for_each_line_of_a_hint_and_one_for_what_it_found() -> None:
    check = Check(id="bucket", state=State.BAD, text="no answer:\n\ttimed out", threshold="", hint="Look at it.\r\nThen again.")
    told = health_text.as_text("One is not OK.", [check], coloured=False)
    assert "no answer: timed out" in told
    assert [line.split("> ")[1] for line in told.splitlines() if "> " in line] == ["Look at it.", "Then again."]
    assert "\N{REPLACEMENT CHARACTER}" not in told


def test_coverage_shows_no_question_marks_for_lines() -> None:
    finding = Finding(
        level=Level.ACT, topic="roles", text="They could not be read:\n\tdenied", detail="a\tb\nc", hint="Grant it."
    )
    told = coverage_text.as_text(Coverage(environment="production", databases={"default": "shop"}, findings=(finding,)))
    assert "They could not be read: denied" in told
    assert "\N{REPLACEMENT CHARACTER}" not in told


def test_a_prune_names_the_cluster_where_two_have_a_database_of_that_name() -> None:
    other = replace(ONE, id=UUID(int=2), cluster="")
    told = prune_text.table(judged(ONE, other).backups)
    assert ["shop of cluster 7412" in told[0], "shop of cluster unknown" in told[1]] == [True, True]
    assert "cluster" not in prune_text.table(judged(ONE).backups)[0]

    stopped = judged(ONE, other, why="no backup up to now is verified: nothing is pruned").stopped_by
    assert [line.partition(":")[0] for line in stopped] == ["shop of cluster unknown", "shop of cluster 7412"]


def test_a_restore_that_failed_tells_each_line_once() -> None:
    target = Server(host="127.0.0.1", port=1, user="u", password="", database="shop")
    error = LoadError("pg_restore failed.", detail="no role: reports\nno role: reports\nsomething else\npg_restore failed.")
    told = Recorded(BackupRestore(), target).fail(error, left_behind="something else\nshop_new was left behind.", is_bad=False)
    assert told.detail == "no role: reports\nsomething else\nshop_new was left behind."

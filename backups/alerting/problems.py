"""What is wrong, read from the history: a function for each event."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db.models import F, Q
from django.utils import timezone

from backups import damage, shrinking, words
from backups.alerting.incidents import Problem
from backups.copies import Worth
from backups.fallback import instead_of
from backups.health.sites import namesakes
from backups.models import BackupHistory, BackupRestore, Level, RestorePurpose, Status, Verdict

BACKUP_FAILED, VERIFICATION_FAILED, UNABLE, SHRINK = "backup-failed", "verification-failed", "verification-unable", "shrink"
DAMAGED_COPY = "damaged-copy"
EVENTS = (BACKUP_FAILED, VERIFICATION_FAILED, DAMAGED_COPY, UNABLE, SHRINK)
_KEEP = "If nobody meant it, keep the backup from before: icb db pin "
UNABLE_IN_A_ROW = 3
_LATEST_VERIFICATIONS = 200
_MOST_LINES = 8
_LONGEST_LINE = 300
_BULKY = ("table_snapshot", "applied_migrations", "extensions", "progress")


# The run of each database that ended last, with the database's name in health.
Ended = Sequence[tuple[str, BackupHistory]]


def of_history(environment: str, *, ended: Ended | None = None) -> list[Problem]:
    """Everything that is wrong now; `ended` is of `newest_ended`, where it was asked for already. Raises what Django's database
    does.
    """
    return [
        *_failed_backups(environment, newest_ended(environment) if ended is None else ended),
        *_bad_backups(environment),
        *_damaged_copies(environment),
        *_unable(environment),
        *_shrunk(environment),
    ]


def undecided(environment: str, ended: Ended) -> set[str]:
    """Databases of which a backup is at work that began before the newest failure: what failed was refused for its sake, and
    its end will tell.
    """
    began = dict(BackupHistory.objects.of_environment(environment).running().values_list("database", "created_at"))
    return {
        subject
        for subject, row in ended
        if row.status == Status.FAILED and row.database in began and began[row.database] < row.created_at
    }


def newest_ended(environment: str) -> Ended:
    """By the end: a run that was refused while another one worked ends before that. Raises what Django's database does."""
    is_ended = Q(status__in=(Status.SUCCEEDED, Status.FAILED))
    by_end = (F("finished_at").desc(nulls_last=True), "-created_at")
    apart = namesakes()
    alone = BackupHistory.objects.of_environment(environment).filter(is_ended)
    alone = alone.exclude(database__in=[site.server.database for site in apart])
    newest = [(row.database, row) for row in alone.order_by("database", *by_end).distinct("database").defer(*_BULKY)]
    own = [(site.name, site.runs().filter(is_ended).order_by(*by_end).defer(*_BULKY).first()) for site in apart]
    return newest + [(name, row) for name, row in own if row is not None]


def _failed_backups(environment: str, ended: Ended) -> Iterator[Problem]:
    for subject, row in ended:
        if row.status != Status.FAILED:
            continue
        took = f" after {words.duration(row.duration_seconds)}" if row.duration_seconds else ""
        yield Problem(
            event=BACKUP_FAILED,
            subject=subject,
            message=f"The backup of {subject} in {environment} failed at {_moment(row.finished_at)}{took}.",
            detail=f"{_last_lines(row.error_message)}\n{_untouched(row)}",
            hint=f"Try again: icb db backup again{_option(row)}",
        )


def _bad_backups(environment: str) -> Iterator[Problem]:
    bad = BackupHistory.objects.of_environment(environment).succeeded().filter(bad_at__isnull=False, missing_at=None)
    for row in bad.defer(*_BULKY):
        found = row.restores.filter(verdict=Verdict.BAD).order_by("-created_at").first()
        yield Problem(
            event=VERIFICATION_FAILED,
            subject=row.filename,
            message=f"The backup {row.filename} of {row.database} in {environment} is bad: found at {_moment(row.bad_at)}.",
            detail=f"{_last_lines(found.error_message if found else '')}\n{_untouched(row)}",
            hint=f"Look once more: icb db verify {row.filename}\nMake another: icb db backup again{_option(row)}",
        )


def _damaged_copies(environment: str) -> Iterator[Problem]:
    """Of backups that are good by another copy."""
    runs = BackupRestore.objects.filter(
        damage.has_copy(Worth.GOOD),
        target_environment=environment,
        backup__deleted_at=None,
        backup__missing_at=None,
        backup__bad_at=None,
    )
    for found in damage.of_runs(runs):
        assert found.run.backup is not None
        name = found.run.backup.filename
        yield Problem(
            event=DAMAGED_COPY,
            subject=name,
            message=f"A copy of {name} in {environment} is damaged. The backup is good by another copy.",
            detail="\n".join(found.places),
            hint=f"See how to replace it: icb db verify {name} --level stored",
        )


def _unable(environment: str) -> Iterator[Problem]:
    """Where none of the latest could be carried out, nothing is proven any more, and no backup is called bad."""
    tried = BackupRestore.objects.filter(
        purpose=RestorePurpose.VERIFICATION,
        target_environment=environment,
        level=Level.RESTORED,
        status__in=(Status.SUCCEEDED, Status.FAILED),
        backup__isnull=False,
    )
    by_database: dict[str, list[BackupRestore]] = {}
    for run in tried.select_related("backup").defer("comparison_report").order_by("-created_at")[:_LATEST_VERIFICATIONS]:
        assert run.backup is not None
        by_database.setdefault(run.backup.database, []).append(run)
    for database, runs in sorted(by_database.items()):
        latest = runs[:UNABLE_IN_A_ROW]
        if len(latest) < UNABLE_IN_A_ROW or any(run.verdict in (Verdict.GOOD, Verdict.BAD) for run in latest):
            continue
        yield Problem(
            event=UNABLE,
            subject=database,
            message=f"The last {UNABLE_IN_A_ROW} backups of {database} in {environment} that were tried could not be verified.",
            detail=f"{_last_lines(latest[0].error_message)}\nNothing says that they are bad, and nothing that they are good.",
            hint="When that is mended: icb db verify latest",
        )


def _shrunk(environment: str) -> Iterator[Problem]:
    made = BackupHistory.objects.of_environment(environment).succeeded()
    for row in made.order_by("database", "-created_at").distinct("database").defer(*_BULKY):
        lost = shrinking.among(row.warnings)
        if not lost:
            continue
        before = shrinking.previous(row)
        yield Problem(
            event=SHRINK,
            subject=row.database,
            message=f"{words.things(len(lost), 'table')} of {row.database} in {environment} lost rows before {row.filename}.",
            detail=_last_lines("\n".join(lost)),
            hint=_keep(before, since=row) if before is not None else "icb db list",
        )


def kept_by(hint: str) -> str:
    """The filename of the backup that a warning of shrunk tables says to keep; "" where it names none."""
    return hint.removeprefix(_KEEP).partition(" ")[0] if hint.startswith(_KEEP) else ""


def _keep(before: BackupHistory, *, since: BackupHistory) -> str:
    look = f"icb db diff {before.filename} live{_option(since)}"
    return f'{_KEEP}{before.filename} --reason "before the loss"\nSee what is lost: {look}'


def _untouched(row: BackupHistory) -> str:
    """What there is to fall back on."""
    newest = instead_of(row)
    if newest is None:
        return f"There is no good backup of {row.database}."
    proof = f"verified {words.age(newest.verified_at, now=timezone.now())}" if newest.verified_at else "never verified"
    return f"Untouched: {newest.filename}, made {words.age(newest.created_at, now=timezone.now())}, {proof}."


def _option(row: BackupHistory) -> str:
    """What a command needs to mean the database of that backup."""
    return "" if row.alias == "default" else f" --database {shlex.quote(row.alias)}"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "an unknown time"


def _last_lines(text: str) -> str:
    """The first line, which says what failed, and the last ones, which say why."""
    lines = [words.printable(line.expandtabs())[:_LONGEST_LINE] for line in text.splitlines() if line.strip()]
    return "\n".join(lines if len(lines) <= _MOST_LINES else [lines[0], "…", *lines[1 - _MOST_LINES :]])

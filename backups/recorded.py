"""The row of a restore, from its first step to its end; `unfinished` does the like for a backup.

The history may be lost: it lies in the very database that is being restored. Then the restore goes on without, and says so.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import Error as DatabaseError
from django.utils import timezone

from backups import history, records
from backups.copies import Copy, not_good
from backups.exceptions import BackupsError, CancelledError, HistoryError, unexpected
from backups.models import BackupHistory, BackupRestore, Status, Verdict
from backups.plan import Plan
from backups.postgres.connect import Connection
from backups.reaping import settle_lost_restores
from backups.stores import secrets
from backups.types import Server

# What only the plan knows of a restore that was queued.
FOUND_OUT = ("backup", "source_key", "target_host", "target_port", "target_system_identifier", "size_bytes")


class Recorded:
    """Keeps the row of one restore. `problems` says why the history does not know of it, if so."""

    def __init__(self, row: BackupRestore, target: Server) -> None:
        self.row = row
        self.target = target
        self.problems: list[str] = []

    def begin(self, plan: Plan, session: Connection, *, scratch: Path) -> None:
        """The row is running; restores that were lost get their end."""
        row, self.target = self.row, plan.target
        row.source_key = plan.source.location
        row.target_host, row.target_port = plan.target.host, plan.target.port
        row.target_system_identifier = plan.there.system_identifier
        row.size_bytes = plan.size_bytes
        try:
            row.backup = BackupHistory.objects.filter(id=plan.manifest.id).first() if plan.manifest else None
            if row._state.adding:
                row.started_at = timezone.now()  # else it would look as if it were queued
                history.add(row)
            history.start(row, **{name: getattr(row, name) for name in FOUND_OUT})
            settle_lost_restores(session, row, target=plan.target, scratch=scratch)
        except BackupsError as error:
            self._unrecorded(error)
        except DatabaseError as error:
            self._unrecorded(history.unreachable(error))
        row.started_at = row.started_at or timezone.now()

    def note_copies(self, told: Sequence[Copy]) -> None:
        """At once, where one is not good: what comes next may take hours, and end this process."""
        report = {"copies": [copy.report() for copy in told]}
        if not not_good(report):
            return
        self.row.comparison_report = self.row.comparison_report | report
        if not self.row._state.adding:
            with suppress(HistoryError):  # the end is written, too, and tells of it
                history.update(self.row, comparison_report=self.row.comparison_report)

    def when_done(self) -> dict[str, Any]:
        """The row as it will be when the restore has succeeded, by column: it must be in the history that is swapped in."""
        now = timezone.now()
        values = {str(field.column): getattr(self.row, field.attname) for field in self.row._meta.concrete_fields}
        started = self.row.started_at or self.row.created_at
        return values | {
            "status": Status.SUCCEEDED.value,
            "finished_at": now,
            "duration_seconds": (now - started).total_seconds(),
        }

    def succeed(self) -> None:
        """What is in place is restored, whether or not the history can be told."""
        row = self.row
        try:
            if row._state.adding:  # the history was lost, and may just have come back, with this row in it or without
                history.add(row)
                row._state.adding = False
            history.succeed(
                row,
                finished_at=timezone.now(),
                source_key=row.source_key,
                comparison_report=row.comparison_report,
                kept_database=row.kept_database,
                safety_backup=row.safety_backup,
                load_seconds=row.load_seconds,
                verdict=row.verdict,
            )
            self.problems.clear()
            if row.kept_at is not None:
                history.note_kept(str(row.id), since=row.kept_at)
        except HistoryError as error:
            done = self.when_done()
            row.status, row.finished_at, row.duration_seconds = Status.SUCCEEDED, done["finished_at"], done["duration_seconds"]
            self._unrecorded(error)
        self._write_record()

    def prove(self) -> list[str]:
        """What the restore has proven, onto the row of its backup; returns what should be told. It comes when the history is
        settled, which brings back the rows of the replaced one, that know nothing of it. Raises HistoryError.
        """
        if self.row.verdict == Verdict.GOOD and self.row.backup is not None:
            history.restored(self.row.backup, at=timezone.now())
        return []

    def _write_record(self) -> None:
        """Into the bucket, where it outlives the history."""
        try:
            records.write(self.row)
        except BackupsError as error:
            self.problems.append(f"The record of this restore could not be written. {error.scrub(secrets(self.target))}")

    def fail(self, error: BaseException, *, left_behind: str, is_bad: bool) -> BackupsError:
        """The error to raise, scrubbed, with what had to be left behind; the row tells the same. `is_bad` says whether it proves
        that the backup is bad.
        """
        if isinstance(error, BackupsError):
            reason = error
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            rest = "" if left_behind else " What it had begun was removed; the target is as it was."
            reason = CancelledError(f"The restore was cancelled.{rest}")
        else:
            reason = unexpected("The restore failed unexpectedly.", error)
        # A server may say the same of each table, and what is left behind may be told by the error already: each line once.
        lines = dict.fromkeys(f"{reason.detail}\n{left_behind}".splitlines())
        reason.detail = "\n".join(line for line in lines if line.strip() and line not in reason.message.splitlines())
        reason.scrub(secrets(self.target))
        if not self.row._state.adding:
            try:
                self._write_failure(reason, is_bad=is_bad)
                self._write_record()
            except HistoryError as unrecorded:
                reason.detail = f"{reason.detail}\nThe history could not be written either: {unrecorded.detail}".strip()
        return reason

    def _write_failure(self, reason: BackupsError, *, is_bad: bool) -> None:
        """The backup's row comes first: whoever dies after it leaves a backup that is known as bad, and a restore to settle."""
        row = self.row
        try:
            if is_bad and row.backup is not None:
                history.update(row.backup, bad_at=timezone.now())
        finally:
            verdict = Verdict.BAD if is_bad else ""
            history.update(row, comparison_report=row.comparison_report, safety_backup=row.safety_backup, verdict=verdict)
            history.fail(row, reason, cancelled=isinstance(reason, CancelledError))

    def _unrecorded(self, error: BackupsError) -> None:
        if not self.row._state.adding and self.row.started_at is None:
            self.row._state.adding = True
        self.problems = [str(error.scrub(secrets(self.target)))]

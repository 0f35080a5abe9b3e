"""Writes into the history what the bucket knows and it does not: rows of backups from manifests, of other runs from records.

A page at a time, with a fixed number of queries for each page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Q

from backups import history
from backups.carry_over import row_of
from backups.catalog import Seen
from backups.models import BackupHistory, BackupRestore, Level, Status, Verdict

# What a manifest tells, and what was found with it. All else stays as the row has it: pins, proof, who made it.
_CORRECTED = (
    *("filename", "description", "backup_type", "environment", "database", "system_identifier", "status", "error_message"),
    *("started_at", "finished_at", "duration_seconds", "size_bytes", "database_size_bytes", "checksum", "bucket", "s3_key"),
    *("upload_id", "table_snapshot", "postgres_version", "pg_dump_version", "compression", "applied_migrations", "extensions"),
    *("application_version", "warnings", "manifest_etag", "local_path", "deleted_at"),
)
_PROOF = ("stored_at", "readable_at", "verified_at", "bad_at")


@dataclass(kw_only=True)
class Plan:
    """What is to be written for some backups: `new` rows; rows that are `behind`, as they should be; and the filenames of those
    whose name another backup has `taken`."""

    new: list[BackupHistory] = field(default_factory=list)
    behind: list[BackupHistory] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


def plan(wanted: Sequence[Seen], *, oldest: datetime) -> Plan:
    """Of backups that the history does not know as succeeded, and whose manifests are proven.

    A run that has not ended may be about to write its row itself; if it is dead, the next backup settles it. A row that a prune
    has marked as deleted since `oldest` may be that prune's to finish; an older mark was left by one that died.
    """
    made = [seen.manifest for seen in wanted if seen.manifest is not None]
    same = Q(id__in=[one.id for one in made]) | Q(filename__in=[one.filename for one in made])
    rows = list(BackupHistory.objects.filter(same).only("filename", "status", "deleted_at"))
    present, names = {row.id: row for row in rows}, {row.filename: row.id for row in rows}
    found = Plan()
    for seen in wanted:
        assert seen.manifest is not None
        row = BackupHistory(**row_of(seen.manifest), manifest_etag=seen.etag, local_path=seen.local_path)
        there = present.get(row.id)
        if names.get(row.filename, row.id) != row.id:
            found.taken.append(row.filename)
        elif there is None:
            found.new.append(row)
        elif _is_behind(there, oldest):
            found.behind.append(row)
    return found


def _is_behind(there: BackupHistory, oldest: datetime) -> bool:
    if there.status in (Status.PENDING, Status.RUNNING):
        return False
    if there.deleted_at is not None:
        return there.deleted_at <= oldest
    return there.status != Status.SUCCEEDED  # else it was written since the names were asked for


def carry_out(found: Plan) -> None:
    """Writes it; `found` then tells what could be. Raises HistoryError."""
    try:
        with transaction.atomic():
            BackupHistory.objects.bulk_create(found.new)
    except DatabaseError:  # somebody was faster with one of them
        added = [(row, history.add(row)) for row in found.new]
        found.taken += [row.filename for row, is_added in added if not is_added]
        found.new = [row for row, is_added in added if is_added]
    if found.behind:
        try:
            BackupHistory.objects.bulk_update(found.behind, _CORRECTED)
        except DatabaseError as error:
            raise history.unreachable(error) from error


def note(page: Sequence[Seen]) -> None:
    """The ETag of each manifest that was proven, and the path of each local copy, on rows of succeeded backups that lack them.

    A manifest that was refused has no ETag here, so that it is read, and refused, each time. Raises HistoryError.
    """
    lacking = []
    for seen in page:
        row = seen.row
        if row is None or row.status != Status.SUCCEEDED or (seen.manifest is not None and seen.manifest.id != row.id):
            continue
        etag, local_path = seen.etag or row.manifest_etag, row.local_path or seen.local_path
        if (etag, local_path) != (row.manifest_etag, row.local_path):
            row.manifest_etag, row.local_path = etag, local_path
            lacking.append(row)
    try:
        BackupHistory.objects.bulk_update(lacking, ["manifest_etag", "local_path"])
    except DatabaseError as error:
        raise history.unreachable(error) from error


def known_runs() -> frozenset[UUID]:
    """Ids of restores and verifications that have their rows."""
    return frozenset(BackupRestore.objects.values_list("id", flat=True))


def add_runs(page: Sequence[BackupRestore]) -> None:
    """Rows of restores and verifications, and what their verdicts say on the rows of their backups. Raises HistoryError."""
    ids = {run.backup_id for run in page if run.backup_id is not None}
    backups = {row.id: row for row in BackupHistory.objects.filter(id__in=ids).only(*_PROOF)}
    for run in page:
        if run.backup_id not in backups:
            run.backup_id = None
    added = page
    try:
        with transaction.atomic():
            BackupRestore.objects.bulk_create(page)
    except DatabaseError:
        added = [run for run in page if history.add(run)]
    told: dict[UUID, BackupHistory] = {}
    for run in added:
        if run.backup_id is not None and run.finished_at is not None:
            backup = backups[run.backup_id]
            for name, value in _proof(run, backup, at=run.finished_at).items():
                setattr(backup, name, value)
                told[backup.id] = backup
    try:
        BackupHistory.objects.bulk_update(told.values(), _PROOF)
    except DatabaseError as error:
        raise history.unreachable(error) from error


def _proof(run: BackupRestore, backup: BackupHistory, *, at: datetime) -> dict[str, Any]:
    """What its verdict says, where nothing newer stands on the backup's row."""
    if run.verdict == Verdict.BAD and (backup.verified_at is None or backup.verified_at < at):
        return {"bad_at": at}
    if run.verdict != Verdict.GOOD:
        return {}
    passed = {Level.STORED: ["stored_at"], Level.READABLE: ["stored_at", "readable_at"]}
    names = passed.get(Level(run.level or Level.RESTORED), ["stored_at", "readable_at", "verified_at"])
    values: dict[str, Any] = {name: at for name in names if (old := getattr(backup, name)) is None or old < at}
    if "verified_at" in values and backup.bad_at is not None and backup.bad_at < at:
        values["bad_at"] = None
    return values

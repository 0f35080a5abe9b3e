"""Writes into the history what the bucket knows and it does not: rows of backups from manifests, of other runs from records.

A page at a time, with a fixed number of queries for each page.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Q, QuerySet

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
    whose name another backup has `taken`. `oldest` as `plan` had it."""

    oldest: datetime
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
    found = Plan(oldest=oldest)
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
    try:
        with transaction.atomic():
            now = {row.id: row for row in _locked([row.id for row in found.behind], "status", "deleted_at")}
            # Looked at again: a prune may have claimed it since, or its own run written it.
            found.behind = [row for row in found.behind if row.id in now and _is_behind(now[row.id], found.oldest)]
            BackupHistory.objects.bulk_update(found.behind, _CORRECTED)
    except DatabaseError as error:
        raise history.unreachable(error) from error


def _locked(ids: Collection[UUID], *names: str) -> QuerySet[BackupHistory]:
    """These fields of rows as they are now; whoever else would write them waits for this transaction. In one order, so that two
    never wait for each other.
    """
    return BackupHistory.objects.select_for_update().filter(id__in=ids).only(*names).order_by("id")


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
    known = set(BackupHistory.objects.filter(id__in=ids).values_list("id", flat=True))
    for run in page:
        if run.backup_id not in known:
            run.backup_id = None
    try:
        with transaction.atomic():
            BackupRestore.objects.bulk_create(page)
            _prove(page)
    except DatabaseError:  # somebody was faster with one of them
        _add_each(page)


def _add_each(page: Sequence[BackupRestore]) -> None:
    for run in page:
        try:
            with transaction.atomic():
                if history.add(run):
                    _prove([run])
        except DatabaseError as error:
            raise history.unreachable(error) from error


def _prove(runs: Sequence[BackupRestore]) -> None:
    """What their verdicts say on the rows of their backups. In one transaction with their own rows: a run that has its row is
    never read again.
    """
    told = [(run, run.backup_id, run.finished_at) for run in runs if run.verdict]
    backups = {row.id: row for row in _locked({id for _run, id, _at in told if id is not None}, *_PROOF)}
    for run, id, at in told:
        if id in backups and at is not None:
            for name, value in _proof(run, backups[id], at=at).items():
                setattr(backups[id], name, value)
    BackupHistory.objects.bulk_update(backups.values(), _PROOF)


def _proof(run: BackupRestore, backup: BackupHistory, *, at: datetime) -> dict[str, Any]:
    """What its verdict says, where nothing newer stands on the backup's row: the same in whichever order records come."""
    if run.verdict == Verdict.BAD and all(old is None or old < at for old in (backup.verified_at, backup.bad_at)):
        return {"bad_at": at}
    if run.verdict != Verdict.GOOD:
        return {}
    passed = {Level.STORED: ["stored_at"], Level.READABLE: ["stored_at", "readable_at"]}
    names = passed.get(Level(run.level or Level.RESTORED), ["stored_at", "readable_at", "verified_at"])
    values: dict[str, Any] = {name: at for name in names if (old := getattr(backup, name)) is None or old < at}
    if "verified_at" in values and backup.bad_at is not None and backup.bad_at < at:
        values["bad_at"] = None
    return values

"""Copies that are known to be damaged or gone, of backups that may be good by another one: as verifications and restores told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform

from backups.copies import Worth
from backups.models import BackupRestore, RestorePurpose, Status

_BULKY = ("backup__table_snapshot", "backup__applied_migrations", "backup__extensions")


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What is known of one backup, by the newest run that found any: at least one copy, each as in the report of that `run`.
    `has_good` tells that another one was good then, or later.
    """

    run: BackupRestore
    copies: tuple[Mapping[str, Any], ...]
    has_good: bool

    @property
    def at(self) -> datetime:
        """When it was found, UTC."""
        return self.run.finished_at or self.run.created_at

    @property
    def places(self) -> tuple[str, ...]:
        """Where they are: of the dump, or of what is damaged beside it."""
        return tuple(copy["where"] for copy in self.copies)


def has_copy(worth: Worth) -> Q:
    """Of runs that have told so of a copy."""
    return Q(comparison_report__copies__contains=[{"worth": str(worth)}])


def of_runs(runs: "QuerySet[BackupRestore]") -> Iterator[Damage]:
    """What these have found, of each backup once, with the run's backup. It counts until a newer verification has read every
    copy, and none was damaged, and of a copy until that one was read, and good. One that stops at the first good copy tells
    nothing of the others. Raises what Django's database does.
    """
    found = runs.filter(has_copy(Worth.DAMAGED), backup__isnull=False).order_by("backup_id", "-created_at")
    found = found.annotate(copies=KeyTransform("copies", "comparison_report")).defer("comparison_report", "progress", *_BULKY)
    for run in found.distinct("backup_id").select_related("backup"):
        since = BackupRestore.objects.filter(has_copy(Worth.GOOD), backup_id=run.backup_id)
        since = since.filter(started_at__gt=run.finished_at or run.created_at)
        told = since.values_list("purpose", "status", KeyTransform("copies", "comparison_report"))
        mended: set[str] = set()
        for purpose, status, copies in told:
            good = {copy["where"] for copy in copies if copy["worth"] == Worth.GOOD}
            mended |= good
            if len(good) == len(copies) and (purpose, status) == (RestorePurpose.VERIFICATION, Status.SUCCEEDED):
                break
        else:
            every = run.copies
            left = tuple(copy for copy in every if copy["worth"] == Worth.DAMAGED and copy["where"] not in mended)
            if left:
                has_good = bool(mended) or any(copy["worth"] == Worth.GOOD for copy in every)
                yield Damage(run=run, copies=left, has_good=has_good)


def of_backup(backup: UUID) -> Damage | None:
    """What is known of the one of that id, None for nothing. Raises what Django's database does."""
    return next(of_runs(BackupRestore.objects.filter(backup_id=backup)), None)

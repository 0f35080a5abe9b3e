"""The two pills of a backup, kept apart: what happened, and what is proven."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from backups.admin import figures
from backups.models import BackupHistory, Status


@dataclass(frozen=True, kw_only=True)
class Pill:
    """Its colour (CSS classes), its mark and its word: never colour alone."""

    kind: str
    icon: str
    label: str


def of_status(row: Any) -> Pill:
    """Of a backup, restore or verification: what became of it."""
    if isinstance(row, BackupHistory) and row.status == Status.SUCCEEDED:
        if row.deleted_at is not None:
            return Pill(kind="", icon="stop", label=_("Deleted"))
        if row.missing_at is not None:
            return Pill(kind="bad", icon="cross", label=_("Missing"))
    if row.status == Status.PENDING and row.started_at is None:
        return Pill(kind="run", icon="ring", label=_("Queued"))
    return {
        Status.PENDING: Pill(kind="run", icon="turn", label=_("Starting")),
        Status.RUNNING: Pill(kind="run", icon="turn", label=_("Running")),
        Status.SUCCEEDED: Pill(kind="ok", icon="check", label=_("Succeeded")),
        Status.FAILED: Pill(kind="bad", icon="cross", label=_("Failed")),
        Status.CANCELLED: Pill(kind="", icon="stop", label=_("Cancelled")),
    }[Status(row.status)]


def of_proof(row: BackupHistory) -> Pill | None:
    """Of a backup; None where there is nothing that could be proven."""
    if row.status != Status.SUCCEEDED or row.deleted_at is not None:
        return None
    if row.bad_at is not None:
        return Pill(kind="proof bad", icon="cross", label=_("Proof failed"))
    for moment, kind, icon, just_now, words in (
        (row.verified_at, "proof ok", "proof", _("Verified just now"), _("Verified %(age)s ago")),
        (row.readable_at, "proof", "dot", _("Readable only, just now"), _("Readable only, %(age)s ago")),
        (row.stored_at, "proof", "dot", _("Stored only, just now"), _("Stored only, %(age)s ago")),
    ):
        if moment is not None:
            seconds = (timezone.now() - moment).total_seconds()
            label = just_now if seconds < figures.MINUTE else words % {"age": figures.age(moment)}
            return Pill(kind=kind, icon=icon, label=label)
    return Pill(kind="proof none", icon="ring", label=_("Never verified"))

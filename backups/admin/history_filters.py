"""To what the list of backups can be narrowed. Each choice is a link; none is counted: that would read the whole table."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from backups.models import BackupHistory, BackupType, Status

Choices = list[tuple[str, Any]]  # a value of the address, and its label
TYPES: dict[str, "str | Promise"] = {
    BackupType.MANUAL: _("Manual"),
    BackupType.SCHEDULED: _("Scheduled"),
    BackupType.PRE_RESTORE: _("Before a restore"),
    BackupType.PRE_MIGRATION: _("Before a migration"),
}
STATUSES: dict[str, "str | Promise"] = {
    Status.PENDING: _("Queued or starting"),
    Status.RUNNING: _("Running"),
    Status.SUCCEEDED: _("Succeeded"),
    Status.FAILED: _("Failed"),
    Status.CANCELLED: _("Cancelled"),
}
# A whole backup that some store has, as far as it is known.
STORED = Q(status=Status.SUCCEEDED, deleted_at__isnull=True, missing_at__isnull=True)
_PROVABLE = Q(status=Status.SUCCEEDED, deleted_at__isnull=True)


class Facet(admin.SimpleListFilter):
    """A filter that knows its choices, and whether it is worth showing: not with a single one, unless it was chosen."""

    def has_output(self) -> bool:
        """Whether it narrows anything."""
        return len(self.lookup_choices) > 1 or self.value() is not None

    def narrowed(self, rows: QuerySet[BackupHistory], value: str) -> QuerySet[BackupHistory]:
        """The rows of one choice; of one that there is none of, none."""
        return rows.filter(**{self.parameter_name or "": value})

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """As Django asks for it."""
        value = self.value()
        return None if value is None else self.narrowed(queryset, value)


class StatusFacet(Facet):
    """What became of the run."""

    title, parameter_name = _("Status"), "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """All."""
        return list(STATUSES.items())


class TypeFacet(Facet):
    """Why it was made."""

    title, parameter_name = _("Type"), "backup_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """All."""
        return list(TYPES.items())


class OfColumn(Facet):
    """By the values that the history has."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """In the order of the alphabet; one query."""
        column = self.parameter_name or ""
        values = BackupHistory.objects.order_by(column).values_list(column, flat=True).distinct()
        return [(value, value) for value in values if value]


class EnvironmentFacet(OfColumn):
    """Which site's."""

    title, parameter_name = _("Environment"), "environment"


class DatabaseFacet(OfColumn):
    """Of which database."""

    title, parameter_name = _("Database"), "database"


class Named(Facet):
    """Choices that are questions of ours."""

    choices_of: "dict[str, tuple[str | Promise, Callable[[], Q]]]" = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """All."""
        return [(value, label) for value, (label, _question) in self.choices_of.items()]

    def narrowed(self, rows: QuerySet[BackupHistory], value: str) -> QuerySet[BackupHistory]:
        """What the question finds."""
        known = self.choices_of.get(value)
        return rows.none() if known is None else rows.filter(known[1]())


class ProofFacet(Named):
    """As the pills tell it."""

    title, parameter_name = _("Proof"), "proof"
    choices_of = {
        "verified": (_("Verified"), lambda: _PROVABLE & Q(verified_at__isnull=False, bad_at__isnull=True)),
        "readable": (
            _("Readable only"),
            lambda: _PROVABLE & Q(verified_at__isnull=True, readable_at__isnull=False, bad_at__isnull=True),
        ),
        "never": (_("Never verified"), lambda: _PROVABLE & Q(verified_at__isnull=True, bad_at__isnull=True)),
        "failed": (_("Proof failed"), lambda: _PROVABLE & Q(bad_at__isnull=False)),
    }


class KeptFacet(Named):
    """What is there still."""

    title, parameter_name = _("Kept"), "kept"
    choices_of = {
        "stored": (_("Stored"), lambda: STORED),
        "pinned": (_("Pinned"), lambda: ~Q(pin_reason="")),
        "deleted": (_("Deleted"), lambda: Q(deleted_at__isnull=False)),
        "missing": (_("Missing"), lambda: Q(missing_at__isnull=False, deleted_at__isnull=True)),
    }


class MadeFacet(Named):
    """By the days of the viewer's calendar."""

    title, parameter_name = _("Date"), "made"
    choices_of = {
        "today": (_("Today"), lambda: _since(0)),
        "7": (_("The last 7 days"), lambda: _since(6)),
        "30": (_("The last 30 days"), lambda: _since(29)),
        "365": (_("The last 365 days"), lambda: _since(364)),
    }


def _since(days: int) -> Q:
    """From the midnight with which the day began, so many days ago."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return Q(created_at__gte=midnight - timedelta(days=days))


FACETS = (StatusFacet, ProofFacet, TypeFacet, EnvironmentFacet, DatabaseFacet, KeptFacet, MadeFacet)

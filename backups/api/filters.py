"""What a list can be narrowed to, and in which order it comes."""

from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers

from backups.api.fields import Moment
from backups.api.pagination import PageQuery
from backups.models import BackupHistory, BackupRestore, BackupType, RestorePurpose, Status


def _orders(*names: str) -> list[str]:
    return [f"{sign}{name}" for name in names for sign in ("-", "")]


class BackupsQuery(PageQuery):
    """Of a list of backups."""

    status = serializers.ChoiceField(Status.choices, required=False)
    backup_type = serializers.ChoiceField(BackupType.choices, required=False)
    environment = serializers.CharField(required=False, max_length=50)
    database = serializers.CharField(required=False, max_length=63)
    created_after = Moment(required=False, help_text="At this moment or later.")
    created_before = Moment(required=False, help_text="Before this moment.")
    verified = serializers.BooleanField(required=False, help_text="By a restore, and not found bad since.")
    deleted = serializers.BooleanField(required=False, default=False, help_text="With those that were pruned.")
    text = serializers.CharField(required=False, max_length=200, help_text="In the filename, the description or the error.")
    ordering = serializers.ChoiceField(_orders("created_at", "filename", "size_bytes", "duration_seconds"), default="-created_at")


class RestoresQuery(PageQuery):
    """Of a list of restores and verifications."""

    status = serializers.ChoiceField(Status.choices, required=False)
    purpose = serializers.ChoiceField(RestorePurpose.choices, required=False)
    target_database = serializers.CharField(required=False, max_length=63)
    created_after = Moment(required=False, help_text="At this moment or later.")
    created_before = Moment(required=False, help_text="Before this moment.")
    ordering = serializers.ChoiceField(_orders("created_at", "duration_seconds"), default="-created_at")


_LOOKUPS = {"created_after": "created_at__gte", "created_before": "created_at__lt"}
_NO_COLUMN = ("cursor", "page_size", "ordering", "verified", "deleted", "text")


def backups_of(query: dict[str, Any]) -> QuerySet[BackupHistory]:
    """The backups that a validated query asks for, in no order yet."""
    rows = _plain(BackupHistory.objects.all(), query)
    if not query["deleted"]:
        rows = rows.filter(deleted_at__isnull=True)
    if "verified" in query:
        verified = Q(verified_at__isnull=False, bad_at__isnull=True)
        rows = rows.filter(verified if query["verified"] else ~verified)
    if text := query.get("text"):
        rows = rows.filter(Q(filename__icontains=text) | Q(description__icontains=text) | Q(error_message__icontains=text))
    return rows


def restores_of(query: dict[str, Any]) -> QuerySet[BackupRestore]:
    """The same of restores and verifications."""
    return _plain(BackupRestore.objects.all(), query)


def _plain(rows: QuerySet[Any], query: dict[str, Any]) -> QuerySet[Any]:
    wanted = {_LOOKUPS.get(name, name): value for name, value in query.items() if name not in _NO_COLUMN}
    return rows.filter(**wanted)

"""The memory: one row for every backup and every restore, in the schema `admin`.

The history is an index. What makes a backup is the dump with its signed manifest in the store; rows can be made again
from those.
"""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from backups.audited import AuditEntry as AuditEntry
from backups.fields import LargeJSONField
from backups.querysets import BackupHistoryQuerySet, BackupRestoreQuerySet
from backups.tokens import Token as Token


class Status(models.TextChoices):
    """Where a run is. Every run reaches one of the last three."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


UNENDED = (Status.PENDING, Status.RUNNING)


class BackupType(models.TextChoices):
    """Why a backup was made."""

    MANUAL = "manual", _("Manual")
    SCHEDULED = "scheduled", _("Scheduled")
    PRE_RESTORE = "pre-restore", _("Before a restore")
    PRE_MIGRATION = "pre-migration", _("Before a migration")


class RestorePurpose(models.TextChoices):
    """Why a backup was loaded."""

    RESTORE = "restore", _("Restore")
    VERIFICATION = "verification", _("Verification")


class Level(models.TextChoices):
    """How far a verification went. Only the last proves that a backup can be restored."""

    STORED = "stored", _("Stored: size and SHA-256 of what the store holds")
    READABLE = "readable", _("Readable: the whole archive decoded")
    RESTORED = "restored", _("Restored: loaded into a scratch database, and compared")


class Verdict(models.TextChoices):
    """What a verification has found. That it could not be carried out says nothing about the backup."""

    GOOD = "good", _("Good")
    BAD = "bad", _("The backup is bad")
    UNABLE = "unable", _("Could not be verified here")


class RestoreMode(models.TextChoices):
    """Where a restore loads a backup."""

    SWAP = "swap", _("Under a name of its own, then renamed into place")
    IN_PLACE = "in-place", _("Into the target itself, in one transaction")
    BESIDE = "beside", _("In part, or beside what is there")


def _user() -> "models.ForeignKey[Any, Any]":
    """Who did it. Without a constraint in the database: `manage.py flush`, and a lost table of users, must not touch history."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )


class BackupHistory(models.Model):
    """One run of a backup, and what it made. Sizes in bytes, times in UTC."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    filename = models.CharField(max_length=200, unique=True)
    description = models.CharField(max_length=100)
    backup_type = models.CharField(max_length=20, choices=BackupType.choices, default=BackupType.MANUAL)
    environment = models.CharField(max_length=50)
    database = models.CharField(max_length=63)
    system_identifier = models.CharField(
        max_length=20, blank=True, help_text="Which PostgreSQL cluster: two may have a database of this name."
    )
    server_address = models.CharField(
        max_length=300, blank=True, help_text="Which server of the cluster: host:port as configured; a standby is marked."
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)
    size_bytes = models.BigIntegerField(null=True, blank=True)
    database_size_bytes = models.BigIntegerField(null=True, blank=True)
    checksum = models.CharField("SHA-256", max_length=64, blank=True)
    bucket = models.CharField(max_length=255, blank=True)
    s3_key = models.CharField("S3 key", max_length=1024, blank=True)
    local_path = models.TextField(blank=True)
    upload_id = models.TextField(blank=True, help_text="The multipart upload while it runs, so that it can be aborted.")
    manifest_etag = models.CharField(max_length=128, blank=True, help_text="Tells a changed manifest from ours in a listing.")
    table_snapshot = LargeJSONField(default=dict, blank=True, help_text="tables: schema, table, rows, bytes; total rows, bytes")
    postgres_version = models.CharField(max_length=50, blank=True)
    pg_dump_version = models.CharField(max_length=50, blank=True)
    compression = models.CharField(max_length=20, blank=True)
    applied_migrations = models.JSONField(default=list, blank=True)
    extensions = models.JSONField(default=dict, blank=True)
    application_version = models.CharField(max_length=64, blank=True)
    warnings = models.JSONField(default=list, blank=True, help_text="What was odd when it was made, in words.")
    stored_at = models.DateTimeField(null=True, blank=True, help_text="When size and SHA-256 in the store were last proven.")
    readable_at = models.DateTimeField(null=True, blank=True, help_text="When the whole archive was last decoded.")
    verified_at = models.DateTimeField(null=True, blank=True, help_text="When it was last restored and compared.")
    bad_at = models.DateTimeField(null=True, blank=True, help_text="When a verification or a restore last found it bad.")
    missing_at = models.DateTimeField(null=True, blank=True, help_text="When it was first seen that no store has it any more.")
    pin_reason = models.CharField(max_length=200, blank=True, help_text="Why retention must keep it.")
    alias = models.CharField(max_length=50, default="default", help_text="Which of Django's DATABASES, while it is queued.")
    slot = models.CharField(
        max_length=100, blank=True, help_text="Which moment of which schedule it was made for: each is served once."
    )
    progress = models.JSONField(
        default=dict, blank=True, help_text="phase, done_bytes, total_bytes, stored_bytes, table; at: when it was written (UTC)."
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True, help_text="When somebody asked it to stop.")
    guards = models.JSONField(default=list, blank=True, help_text="The migrations before which it was made: app.name.")
    triggered_by = _user()
    idempotency_key = models.CharField(
        max_length=100, blank=True, help_text="What the request called itself: the same from the same user is the same backup."
    )
    idempotency_digest = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of that request's body: the same key with another body is refused."
    )
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = BackupHistoryQuerySet.as_manager()

    class Meta:
        db_table = 'admin"."backup_history'  # Django quotes it to "admin"."backup_history": the table in the schema admin
        ordering = ("-created_at",)
        get_latest_by = "created_at"
        verbose_name = "backup"
        verbose_name_plural = "backups"
        indexes = (
            models.Index(fields=("environment", "status", "-created_at"), name="backup_env_status_created"),
            models.Index(fields=("-created_at",), name="backup_created"),
            models.Index(fields=("environment", "database", "-created_at"), name="backup_of_database"),
            models.Index(fields=("s3_key",), name="backup_object"),
            models.Index(
                fields=("environment", "database", "-verified_at"),
                name="backup_proven",
                condition=models.Q(verified_at__isnull=False),
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "database", "slot"), condition=~models.Q(slot=""), name="backup_once_for_each_slot"
            ),
            models.UniqueConstraint(
                fields=("environment", "triggered_by", "idempotency_key"),
                condition=~models.Q(idempotency_key=""),
                name="backup_once_for_each_idempotency_key",
            ),
        )
        permissions = (
            ("run_backup", "Can make backups, and cancel them"),
            ("verify_backup", "Can verify backups"),
            ("download_backup", "Can download backups: all data that is in them"),
            ("restore_backup", "Can restore backups, and undo it"),
            ("prune_backup", "Can delete backups, and pin them"),
        )

    def __str__(self) -> str:
        return self.filename


class BackupRestore(models.Model):
    """One run of a restore: which backup, onto which database, how it compared."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    backup = models.ForeignKey(BackupHistory, null=True, blank=True, on_delete=models.PROTECT, related_name="restores")
    source_key = models.CharField(max_length=1024, help_text="The key or path that was restored, also where no row knows it.")
    purpose = models.CharField(max_length=15, choices=RestorePurpose.choices, default=RestorePurpose.RESTORE)
    target_host = models.CharField(max_length=255)
    target_port = models.PositiveIntegerField()
    target_system_identifier = models.CharField(
        max_length=20, blank=True, help_text="Which PostgreSQL cluster: every machine has its own localhost."
    )
    target_database = models.CharField(max_length=63)
    target_environment = models.CharField(max_length=50)
    level = models.CharField(max_length=10, choices=Level.choices, blank=True, help_text="Of a verification.")
    verdict = models.CharField(
        max_length=10,
        choices=Verdict.choices,
        blank=True,
        help_text="Of a verification, or of a restore that has proven as much.",
    )
    mode = models.CharField(max_length=10, choices=RestoreMode.choices, default=RestoreMode.SWAP)
    kept_database = models.CharField(max_length=63, blank=True, help_text="Under which name the replaced database stays.")
    kept_at = models.DateTimeField(null=True, blank=True, help_text="Since when it stays there: the moment of the swap.")
    safety_backup = models.CharField(
        max_length=200, blank=True, help_text="Filename of the backup that was made of what an in-place restore replaced."
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    size_bytes = models.BigIntegerField(null=True, blank=True, help_text="Of the archive; with load_seconds, for estimates.")
    load_seconds = models.FloatField(null=True, blank=True)
    progress = models.JSONField(default=dict, blank=True, help_text="As of a backup.")
    cancel_requested_at = models.DateTimeField(null=True, blank=True, help_text="When somebody asked it to stop.")
    request = models.JSONField(default=dict, blank=True, help_text="What was asked for, while it is queued; never a password.")
    comparison_report = models.JSONField(default=dict, blank=True)
    error_message = models.TextField(blank=True)
    restored_by = _user()

    objects = BackupRestoreQuerySet.as_manager()

    class Meta:
        db_table = 'admin"."backup_restore'
        ordering = ("-created_at",)
        get_latest_by = "created_at"
        indexes = (
            models.Index(
                fields=("-finished_at",),
                name="restore_proof",
                condition=models.Q(purpose="verification", level="restored", verdict="good", status="succeeded"),
            ),
        )
        verbose_name = "restore"
        verbose_name_plural = "restores"

    def __str__(self) -> str:
        return f"{self.source_key} → {self.target_database}"


class Incident(models.Model):
    """Something that somebody should know of, from the first time it was seen to its end. One message opens it, one closes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=200, help_text="What it is about: event and subject. One of a key is open at a time.")
    event = models.CharField(max_length=50)
    environment = models.CharField(max_length=50)
    message = models.TextField(help_text="What happened.")
    detail = models.TextField(blank=True, help_text="What was seen.")
    hint = models.TextField(blank=True, help_text="What to do.")
    opened_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now, help_text="When it was last seen.")
    times = models.PositiveIntegerField(default=1, help_text="How often it was seen.")
    closed_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True, help_text="When the message that opens it was taken by a receiver.")
    end_told_at = models.DateTimeField(null=True, blank=True, help_text="When the message that closes it was.")

    class Meta:
        db_table = 'admin"."backup_incident'
        ordering = ("-opened_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "key"), condition=models.Q(closed_at=None), name="one_open_incident_of_a_key"
            ),
        )

    def __str__(self) -> str:
        return self.message


class Heartbeat(models.Model):
    """When a part of the machinery last did something: a worker that carried out a task, by its queue."""

    name = models.CharField(max_length=50, primary_key=True)
    at = models.DateTimeField(default=timezone.now)
    detail = models.CharField(max_length=200, blank=True, help_text="Which one: host and process.")

    class Meta:
        db_table = 'admin"."backup_heartbeat'

    def __str__(self) -> str:
        return self.name

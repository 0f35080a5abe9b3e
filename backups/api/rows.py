"""Rows of the history as the API answers them, under the names of the commands' --json."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from backups import documents
from backups.api import links
from backups.api.fields import Moment
from backups.kept import kept_until
from backups.models import BackupHistory, BackupRestore, Level, RestorePurpose, Verdict

OF_A_LIST = (
    *("id", "filename", "description", "backup_type", "environment", "database", "status", "created_at", "started_at"),
    *("finished_at", "duration_seconds", "size_bytes", "database_size_bytes", "checksum", "bucket", "s3_key", "local_path"),
    *("postgres_version", "application_version", "error_message", "stored_at", "readable_at", "verified_at", "bad_at"),
    *("missing_at", "deleted_at", "pin_reason", "triggered_by", "url"),
)
LINKS = serializers.DictField(child=serializers.URLField())


def url_of(name: str, row_id: object, request: Any, **more: object) -> str:
    """The absolute address of an operation on a row."""
    made: str = reverse(f"{links.NAMESPACE}:{name}", kwargs={"id": row_id, **more}, request=request)
    return made


class TableProgressSerializer(serializers.Serializer[Any]):
    """A table of a dump: its size on the server, what is dumped of it, and the seconds it has taken, where that was seen."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["waits", "now", "done"])
    bytes = serializers.IntegerField()
    done_bytes = serializers.IntegerField()
    seconds = serializers.FloatField(allow_null=True)


class TablesProgressSerializer(serializers.Serializer[Any]):
    """How many tables are dumped, of how many; the largest one by one."""

    done = serializers.IntegerField()
    total = serializers.IntegerField()
    largest = TableProgressSerializer(many=True)


class ProgressSerializer(serializers.Serializer[Any]):
    """Where a run is: bytes of tables done, of all, and a second; bytes stored; seconds of each phase that is over. Empty where
    none was told yet.
    """

    phase = serializers.CharField(required=False)
    done_bytes = serializers.IntegerField(required=False)
    total_bytes = serializers.IntegerField(required=False)
    stored_bytes = serializers.IntegerField(required=False)
    table = serializers.CharField(required=False, allow_blank=True)
    tables = TablesProgressSerializer(required=False, allow_null=True)
    rate = serializers.IntegerField(required=False, allow_null=True)
    took = serializers.DictField(child=serializers.FloatField(), required=False)
    at = serializers.CharField(required=False)


class _Row(serializers.ModelSerializer[Any]):
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        **{
            field: Moment
            for field, kind in serializers.ModelSerializer.serializer_field_mapping.items()
            if kind is serializers.DateTimeField
        },
    }

    def address(self, name: str, row: Any) -> str:
        return url_of(name, row.pk, self.context["request"])


def _username(user: Any) -> str | None:
    return user.get_username() if user is not None else None


class BackupItemSerializer(_Row):
    """A backup in a list."""

    triggered_by = serializers.SerializerMethodField(help_text="Whose request it was: a user's name.")
    url = serializers.SerializerMethodField()

    class Meta:
        model = BackupHistory
        fields = OF_A_LIST
        read_only_fields = OF_A_LIST

    def get_triggered_by(self, row: BackupHistory) -> str | None:
        return _username(row.triggered_by)

    @extend_schema_field(serializers.URLField())
    def get_url(self, row: BackupHistory) -> str:
        return self.address("backup", row)


class RestoreSerializer(_Row):
    """A restore or a verification."""

    source = serializers.CharField(source="source_key", read_only=True)  # type: ignore[assignment]
    backup_id = serializers.UUIDField(read_only=True, allow_null=True)
    level = serializers.ChoiceField(Level.choices, allow_blank=True, help_text="Of a verification.")
    verdict = serializers.ChoiceField(
        Verdict.choices,
        allow_blank=True,
        help_text="Of a verification that has ended, or of a restore that has proven as much.",
    )
    kept_until = serializers.SerializerMethodField(
        help_text="When what was replaced may be dropped by itself; null where nothing is kept, or for ever."
    )
    progress = ProgressSerializer(read_only=True)
    comparison_report = serializers.DictField(read_only=True)
    restored_by = serializers.SerializerMethodField(help_text="Whose request it was: a user's name.")
    url = serializers.SerializerMethodField()
    backup = serializers.SerializerMethodField(help_text="The address of the backup.")
    links = serializers.SerializerMethodField(help_text="What you can do with it now, by name.")

    class Meta:
        model = BackupRestore
        fields = (
            *("id", "backup_id", "source"),
            *(name for name in documents.RESTORE if name not in ("id", "backup_id")),
            "kept_until",
            *("level", "verdict", "created_at", "undone_at", "cancel_requested_at", "progress", "error_message", "restored_by"),
            *("url", "backup", "links"),
        )
        read_only_fields = fields

    @extend_schema_field(Moment(allow_null=True))
    def get_kept_until(self, row: BackupRestore) -> str | None:
        until = kept_until(row)
        return Moment().to_representation(until) if until else None

    def get_restored_by(self, row: BackupRestore) -> str | None:
        return _username(row.restored_by)

    @extend_schema_field(serializers.URLField())
    def get_url(self, row: BackupRestore) -> str:
        return self.address("restore", row)

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_backup(self, row: BackupRestore) -> str | None:
        return url_of("backup", row.backup_id, self.context["request"]) if row.backup_id else None

    @extend_schema_field(LINKS)
    def get_links(self, row: BackupRestore) -> dict[str, str]:
        return links.of_restore(row, self.context["request"], address=url_of)


class TableSerializer(serializers.Serializer[Any]):
    """Rows and bytes of a table, in the snapshot that was dumped. `fingerprint` depends on every row."""

    schema = serializers.CharField()
    table = serializers.CharField()
    rows = serializers.IntegerField()
    bytes = serializers.IntegerField()
    fingerprint = serializers.CharField(required=False)


class TotalSerializer(serializers.Serializer[Any]):
    """Of all tables."""

    tables = serializers.IntegerField()
    rows = serializers.IntegerField()
    bytes = serializers.IntegerField()


class TableSnapshotSerializer(serializers.Serializer[Any]):
    """What was counted. Empty until it was."""

    tables = TableSerializer(many=True, required=False)
    total = TotalSerializer(required=False)


class BackupSerializer(BackupItemSerializer):
    """A backup, with everything that is known of it."""

    progress = serializers.SerializerMethodField()
    table_snapshot = serializers.SerializerMethodField()
    applied_migrations = serializers.ListField(child=serializers.CharField(), read_only=True)
    extensions = serializers.DictField(child=serializers.CharField(), read_only=True)
    warnings = serializers.ListField(child=serializers.CharField(), read_only=True)
    guards = serializers.ListField(child=serializers.CharField(), read_only=True)
    restores = serializers.SerializerMethodField()
    verifications = serializers.SerializerMethodField()
    links = serializers.SerializerMethodField(help_text="What you can do with it now, by name.")

    class Meta:
        model = BackupHistory
        fields = (
            *OF_A_LIST,
            *("pg_dump_version", "compression", "table_snapshot", "applied_migrations", "extensions", "warnings", "guards"),
            *(
                "system_identifier",
                "server_address",
                "slot",
                "cancel_requested_at",
                "progress",
                "restores",
                "verifications",
                "links",
            ),
        )
        read_only_fields = fields

    @extend_schema_field(ProgressSerializer)
    def get_progress(self, row: BackupHistory) -> Any:
        return row.progress

    @extend_schema_field(TableSnapshotSerializer)
    def get_table_snapshot(self, row: BackupHistory) -> Any:
        return row.table_snapshot

    @extend_schema_field(RestoreSerializer(many=True))
    def get_restores(self, row: BackupHistory) -> Any:
        return self._of(row, RestorePurpose.RESTORE)

    @extend_schema_field(RestoreSerializer(many=True))
    def get_verifications(self, row: BackupHistory) -> Any:
        return self._of(row, RestorePurpose.VERIFICATION)

    def _of(self, row: BackupHistory, purpose: str) -> Any:
        newest = sorted(
            (one for one in row.restores.all() if one.purpose == purpose), key=lambda one: one.created_at, reverse=True
        )
        return RestoreSerializer(newest, many=True, context=self.context).data

    @extend_schema_field(LINKS)
    def get_links(self, row: BackupHistory) -> dict[str, str]:
        return links.of_backup(row, self.context["request"], address=url_of)

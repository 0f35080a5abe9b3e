"""What `documents` tells, described for the schema: these serializers write nothing."""

from typing import Any

from rest_framework import serializers

from backups.api.rows import TotalSerializer
from backups.changes import Kind

Described = serializers.Serializer[Any]


def _described(name: str, /, **fields: serializers.Field[Any, Any, Any, Any]) -> type[Described]:
    return type(name, (serializers.Serializer,), {"__doc__": "", **fields})


def _text(**given: Any) -> serializers.CharField:
    return serializers.CharField(**({"allow_blank": True} | given))


def _number(**given: Any) -> serializers.IntegerField:
    return serializers.IntegerField(**given)


def _moment(**given: Any) -> serializers.DateTimeField:
    return serializers.DateTimeField(**given)


def _texts() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField())


RowsSerializer = _described("RowsSerializer", rows=_number(), bytes=_number())
NamedSerializer = _described("NamedSerializer", name=_text(), version=_text())
ObjectsSerializer = _described(
    "ObjectsSerializer", count=_number(), names=serializers.ListField(child=serializers.CharField(), allow_null=True)
)
CountedSerializer = _described("CountedSerializer", schema=_text(), table=_text(), rows=_number(), bytes=_number())
ContentsSerializer = _described(
    "ContentsSerializer",
    filename=_text(),
    environment=_text(),
    database=_text(),
    started_at=_moment(),
    size_bytes=_number(),
    database_size_bytes=_number(),
    server_version=_text(),
    total=TotalSerializer(),
    tables=CountedSerializer(many=True),
    extensions=NamedSerializer(many=True),
    objects=serializers.DictField(
        child=ObjectsSerializer(), allow_null=True, help_text="By kind; null where they were not noted, `names` where too many."
    ),
)
SideSerializer = _described(
    "SideSerializer",
    name=_text(),
    environment=_text(),
    database=_text(),
    at=_moment(),
    rows=_number(),
    tables=_number(),
    table_bytes=_number(),
    database_size_bytes=_number(),
    server_version=_text(),
    system_identifier=_text(),
)
ChangeSerializer = _described(
    "ChangeSerializer",
    schema=_text(),
    table=_text(),
    before=RowsSerializer(allow_null=True),
    after=RowsSerializer(allow_null=True),
)
TableChangesSerializer = _described(
    "TableChangesSerializer",
    **{str(kind): ChangeSerializer(many=True) for kind in Kind},
    unchanged=_number(),
    identical=_number(),
)
MigrationChangesSerializer = _described("MigrationChangesSerializer", added=_texts(), gone=_texts())
NewVersionSerializer = _described("NewVersionSerializer", name=_text(), before=_text(), after=_text())
ExtensionChangesSerializer = _described(
    "ExtensionChangesSerializer",
    added=NamedSerializer(many=True),
    gone=NamedSerializer(many=True),
    changed=NewVersionSerializer(many=True),
)
DifferenceSerializer = _described(
    "DifferenceSerializer",
    before=SideSerializer(),
    after=SideSerializer(),
    remarks=_texts(),
    tables=TableChangesSerializer(),
    migrations=MigrationChangesSerializer(),
    extensions=ExtensionChangesSerializer(),
)
PinnedSerializer = _described(
    "PinnedSerializer", filename=_text(), is_pinned=serializers.BooleanField(), reason=_text(), before=_text()
)
CancelledSerializer = _described(
    "CancelledSerializer", id=serializers.UUIDField(), kind=_text(), name=_text(), was_queued=serializers.BooleanField()
)
UndoneSerializer = _described(
    "UndoneSerializer",
    database=_text(),
    kept_database=_text(allow_null=True),
    seconds=serializers.FloatField(),
    problems=serializers.ListField(child=serializers.CharField(), help_text="What went wrong beside; empty if nothing did."),
)
PlannedBackupSerializer = _described(
    "PlannedBackupSerializer",
    id=serializers.UUIDField(),
    filename=_text(),
    started_at=_moment(),
    size_bytes=_number(),
    rows=_number(),
    tables=_number(),
    postgres_version=_text(),
    restored_at=_moment(allow_null=True),
    verified_at=_moment(allow_null=True),
)
PlannedTargetSerializer = _described(
    "PlannedTargetSerializer",
    host=_text(),
    port=_number(),
    database=_text(),
    system_identifier=_text(),
    postgres_version=_text(),
    exists=serializers.BooleanField(),
    is_empty=serializers.BooleanField(),
    size_bytes=_number(allow_null=True),
    about_rows=_number(allow_null=True),
    connections=_number(),
)
PlanCheckSerializer = _described(
    "PlanCheckSerializer",
    level=serializers.ChoiceField(["ok", "warn", "block"]),
    text=_text(),
    detail=_text(),
    hint=_text(),
)
PlanSerializer = _described(
    "PlanSerializer",
    source=_text(),
    backup=PlannedBackupSerializer(allow_null=True),
    target=PlannedTargetSerializer(),
    checks=PlanCheckSerializer(many=True),
    needs_name=serializers.BooleanField(),
    asks_neutralize=serializers.BooleanField(help_text="Whether `neutralize` must be said."),
    expected_seconds=serializers.FloatField(allow_null=True),
    measured_restores=_number(),
)
HealthCheckSerializer = _described(
    "HealthCheckSerializer",
    id=_text(),
    subject=_text(),
    state=serializers.ChoiceField(["ok", "bad", "unknown"]),
    text=_text(),
    threshold=_text(),
    hint=_text(),
)
HealthSerializer = _described(
    "HealthSerializer", is_ok=serializers.BooleanField(), answer=_text(), checks=HealthCheckSerializer(many=True)
)

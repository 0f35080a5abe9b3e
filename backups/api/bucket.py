"""The bucket, a folder and a page at a time, as a file manager shows it."""

from typing import Any

from django.core import signing
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from backups import conf, stores
from backups.access import Action
from backups.api import examples
from backups.api.base import Operations
from backups.api.fields import Strict
from backups.api.pagination import next_url
from backups.api.rows import url_of
from backups.api.schema import operation
from backups.models import BackupHistory
from backups.storage import keys
from backups.types import StoredObject

LARGEST, USUAL = 1000, 200
_SALT = "backups.api.storage"
_KINDS = {
    keys.MANIFEST_SUFFIX: "manifest",
    keys.GLOBALS_SUFFIX: "globals",
    keys.PIN_SUFFIX: "pin",
    keys.DUMP_SUFFIX: "dump",
}


class FolderQuery(Strict):
    """Which folder, and which page of it."""

    prefix = serializers.CharField(
        required=False, max_length=900, help_text="A folder below the environment's own, with a slash at its end."
    )
    cursor = serializers.CharField(required=False, max_length=5000, help_text="Of `next` in the page before.")
    page_size = serializers.IntegerField(
        default=USUAL, min_value=1, max_value=LARGEST, help_text="Of folders and objects together."
    )


class ObjectSerializer(serializers.Serializer[Any]):
    """An object."""

    key = serializers.CharField()
    size_bytes = serializers.IntegerField()
    modified_at = serializers.DateTimeField()
    kind = serializers.ChoiceField([*_KINDS.values(), "other"])
    is_known = serializers.BooleanField(help_text="Whether it belongs to a backup that the history knows.")
    backup = serializers.URLField(allow_null=True)


@extend_schema_serializer(many=False)
class FolderSerializer(serializers.Serializer[Any]):
    """A page of a folder."""

    bucket = serializers.CharField()
    prefix = serializers.CharField()
    folders = serializers.ListField(child=serializers.CharField())
    objects = ObjectSerializer(many=True)
    next = serializers.URLField(allow_null=True)


class Bucket(Operations):
    """What lies in it."""

    @operation(
        id="listStorage",
        summary="A page of the bucket",
        needs=Action.VIEW,
        parameters=[FolderQuery],
        answers={200: FolderSerializer},
        problems=[400],
        examples=[examples.FOLDER],
        tag="storage",
    )
    def list(self, request: Request) -> Response:
        """Folders first, then objects by their keys, each with the backup that it belongs to; what the history does not know is
        marked. Only what is below this environment's own prefix.
        """
        query = self.query(FolderQuery)
        prefix = _own(query.get("prefix", keys.prefix(conf.current().environment)))
        store = stores.configured().require_s3()
        page = store.folder(prefix, size=query["page_size"], after=_read(query.get("cursor", ""), prefix))
        cursor = signing.dumps(page.after, salt=_SALT + prefix) if page.after else ""
        known = _known(page.objects)
        return Response(
            {
                "bucket": store.bucket,
                "prefix": prefix,
                "folders": list(page.folders),
                "objects": [_told(one, known.get(_dump_of(one.key)), request) for one in page.objects],
                "next": next_url(request, cursor),
            }
        )


def _own(prefix: str) -> str:
    """Raises ValidationError for what is not below this environment's own."""
    own = f"{conf.current().environment}/"
    parts = prefix.split("/")
    if not prefix.startswith(own) or parts[-1] or not {"", ".", ".."}.isdisjoint(parts[:-1]):
        raise ValidationError({"prefix": [f"This must be a folder below {own}, with a slash at its end."]})
    return prefix


def _read(cursor: str, prefix: str) -> str:
    try:
        return str(signing.loads(cursor, salt=_SALT + prefix)) if cursor else ""
    except (signing.BadSignature, ValueError) as error:
        raise ValidationError({"cursor": ["This is not the cursor of a page of this folder. Begin with its first."]}) from error


def _known(objects: tuple[StoredObject, ...]) -> dict[str, BackupHistory]:
    wanted = {_dump_of(one.key) for one in objects}
    return {row.s3_key: row for row in BackupHistory.objects.filter(s3_key__in=wanted).only("id", "s3_key")}


def _dump_of(key: str) -> str:
    for suffix in (keys.MANIFEST_SUFFIX, keys.GLOBALS_SUFFIX, keys.PIN_SUFFIX):
        key = key.removesuffix(suffix)
    return key


def _told(one: StoredObject, row: BackupHistory | None, request: Request) -> dict[str, Any]:
    return {
        "key": one.key,
        "size_bytes": one.size_bytes,
        "modified_at": one.modified_at.isoformat(),
        "kind": next((kind for suffix, kind in _KINDS.items() if one.key.endswith(suffix)), "other"),
        "is_known": row is not None,
        "backup": url_of("backup", row.id, request) if row is not None else None,
    }

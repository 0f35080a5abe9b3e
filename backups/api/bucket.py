"""The bucket, a folder and a page at a time, as a file manager shows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from backups import browsing
from backups.access import Action
from backups.api import examples
from backups.api.base import Operations
from backups.api.fields import Strict
from backups.api.pagination import next_url
from backups.api.rows import url_of
from backups.api.schema import operation
from backups.exceptions import UsageError


class FolderQuery(Strict):
    """Which folder, and which page of it."""

    prefix = serializers.CharField(
        required=False, max_length=900, help_text="A folder below the environment's own, with a slash at its end."
    )
    cursor = serializers.CharField(required=False, max_length=5000, help_text="Of `next` in the page before.")
    page_size = serializers.IntegerField(
        default=browsing.USUAL, min_value=1, max_value=browsing.LARGEST, help_text="Of folders and objects together."
    )


class ObjectSerializer(serializers.Serializer[Any]):
    """An object."""

    key = serializers.CharField()
    size_bytes = serializers.IntegerField()
    modified_at = serializers.DateTimeField()
    kind = serializers.ChoiceField([*browsing.KINDS.values(), browsing.RECORD, browsing.OTHER])
    is_known = serializers.BooleanField(
        help_text="Whether it belongs to a backup that the history knows and that was not deleted, or is a record of a run."
    )
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
        examples=[examples.FOLDER],
        tag="storage",
    )
    def list(self, request: Request) -> Response:
        """Folders first, then objects by their keys, each with the backup that it belongs to; what the history does not know is
        marked. Only what is below this environment's own prefix.
        """
        query = self.query(FolderQuery)
        prefix, cursor = query.get("prefix", ""), query.get("cursor", "")
        with _about("prefix"):
            browsing.own(prefix or browsing.usual())
        with _about("cursor"):
            page = browsing.folder(prefix, size=query["page_size"], cursor=cursor)
        return Response(
            {
                "bucket": page.bucket,
                "prefix": page.prefix,
                "folders": list(page.folders),
                "objects": [_told(item, request) for item in page.items],
                "next": next_url(request, page.cursor),
            }
        )


@contextmanager
def _about(field: str) -> Iterator[None]:
    """What can't be used is told with the field that it stands in."""
    try:
        yield
    except UsageError as error:
        raise ValidationError({field: [f"{error.message} {error.hint}".strip()]}) from error


def _told(item: browsing.Item, request: Request) -> dict[str, Any]:
    return {
        "key": item.key,
        "size_bytes": item.size_bytes,
        "modified_at": item.modified_at.isoformat(),
        "kind": item.kind,
        "is_known": item.is_known,
        "backup": url_of("backup", item.row.id, request) if item.row is not None else None,
    }

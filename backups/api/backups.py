"""Backups: list, look at, make."""

from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backups.access import Action
from backups.api import creating, examples, links
from backups.api.conditional import etag_of, tagged, unchanged, versions_of
from backups.api.filters import BackupsQuery, backups_of
from backups.api.one import OfBackups
from backups.api.pagination import next_url, page_of
from backups.api.rows import OF_A_LIST, BackupItemSerializer, BackupSerializer, url_of
from backups.api.schema import IF_NONE_MATCH, SAME, operation
from backups.models import BackupHistory, BackupRestore, Status

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "maxLength": creating.LONGEST_KEY},
    OpenApiParameter.HEADER,
    description="The same key from the same user with the same token is the same backup, however often it is sent.",
)
PREFER = OpenApiParameter(
    "Prefer", str, OpenApiParameter.HEADER, description=f"`wait=60`: until it is made, {creating.LONGEST_WAIT} seconds at most."
)
# What a list does not show; its columns are read by name, so that a new one is not read by accident.
_COLUMNS = [name for name in OF_A_LIST if name not in ("triggered_by", "url")]


@extend_schema_serializer(many=False)
class BackupPageSerializer(serializers.Serializer[Any]):
    """A page of backups."""

    results = BackupItemSerializer(many=True)
    next = serializers.URLField(allow_null=True)


class Backups(OfBackups):
    """All of them."""

    @operation(
        id="listBackups",
        summary="List backups, newest first",
        needs=Action.VIEW,
        parameters=[BackupsQuery, IF_NONE_MATCH],
        answers={200: BackupPageSerializer, 304: SAME},
        examples=[examples.PAGE],
    )
    def list(self, request: Request) -> Response:
        """Every run, whatever came of it, but for what was pruned. With the ETag of the page before, an unchanged page is 304."""
        query = self.query(BackupsQuery)
        page = page_of(backups_of(query), ordering=query["ordering"], size=query["page_size"], cursor=query.get("cursor", ""))
        etag = etag_of(request, page.version)
        if (same := unchanged(request, etag)) is not None:
            return same
        rows = BackupHistory.objects.filter(pk__in=page.ids).select_related("triggered_by")
        found = rows.only(*_COLUMNS, f"triggered_by__{get_user_model().USERNAME_FIELD}").in_bulk()
        there = [found[id] for id in page.ids if id in found]
        told = BackupItemSerializer(there, many=True, context={"request": request}).data
        return tagged(Response({"results": told, "next": next_url(request, page.cursor)}), etag)

    @operation(
        id="makeBackup",
        summary="Make a backup",
        needs=Action.RUN,
        parameters=[IDEMPOTENCY_KEY, PREFER],
        request=creating.NewBackupSerializer,
        answers={
            202: OpenApiResponse(BackupSerializer, description="Queued. Poll the address in Location."),
            201: OpenApiResponse(BackupSerializer, description="Made, while you waited (`Prefer: wait`)."),
        },
        problems=[404, 409, 415, 422, 500],
        examples=[examples.NEW, examples.QUEUED],
        makes_run=True,
    )
    def create(self, request: Request) -> Response:
        """A worker makes it. Answers at once, or with `Prefer: wait=60` as soon as it is made; a backup that fails meanwhile is a
        problem of the type urn:icb:problem:failed. Where many wait already the answer comes at once, without Preference-Applied.
        """
        self.require_visible()  # else the row would be made, and then not be there
        row, is_new = creating.ask_for(request, self.body(creating.NewBackupSerializer))
        if is_new:
            self.note(object=row.filename, target=row.database, queued=True)
        headers = {"Location": url_of("backup", row.id, request)}
        seconds = creating.seconds_to_wait(request)
        if has_waited := seconds > 0 and creating.wait_for(row, seconds=seconds):
            creating.require_made(row, request)
            headers["Preference-Applied"] = f"wait={seconds}"
        status = 201 if has_waited and row.status == Status.SUCCEEDED else 202
        return Response(self.told(self.found(row.id)), status=status, headers=headers)

    @operation(
        id="getBackup",
        summary="Everything about a backup",
        needs=Action.VIEW,
        parameters=[IF_NONE_MATCH],
        answers={200: BackupSerializer, 304: SAME},
        problems=[404],
        examples=[examples.BACKUP],
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """With its progress while it is made, its restores and verifications, and what can be done with it."""
        rows, restores = BackupHistory.objects.filter(id=id), BackupRestore.objects.filter(backup_id=id)
        known = rows.only("environment", "database", "status", "created_at", "deleted_at")
        etag = etag_of(request, versions_of(rows, restores), links.basis(request, *known))
        if (same := unchanged(request, etag)) is not None:
            return same
        return tagged(Response(self.told(self.found(id))), etag)

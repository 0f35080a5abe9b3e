"""Restores and verifications: list, look at."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from backups.access import Action
from backups.api import examples, links
from backups.api.base import Operations
from backups.api.conditional import etag_of, tagged, unchanged, versions_of
from backups.api.filters import RestoresQuery, restores_of
from backups.api.pagination import next_url, page_of
from backups.api.rows import RestoreSerializer
from backups.api.schema import IF_NONE_MATCH, SAME, operation
from backups.models import BackupRestore


@extend_schema_serializer(many=False)
class RestorePageSerializer(serializers.Serializer[Any]):
    """A page of restores and verifications."""

    results = RestoreSerializer(many=True)
    next = serializers.URLField(allow_null=True)


class Restores(Operations):
    """All of them."""

    @operation(
        id="listRestores",
        summary="List restores and verifications, newest first",
        needs=Action.VIEW,
        parameters=[RestoresQuery, IF_NONE_MATCH],
        answers={200: RestorePageSerializer, 304: SAME},
        examples=[examples.RESTORES],
        tag="restores",
    )
    def list(self, request: Request) -> Response:
        """`purpose` tells them apart. With the ETag of the page before, an unchanged page is 304."""
        query = self.query(RestoresQuery)
        page = page_of(restores_of(query), ordering=query["ordering"], size=query["page_size"], cursor=query.get("cursor", ""))
        etag = etag_of(request, page.version, links.basis(request))
        if (same := unchanged(request, etag)) is not None:
            return same
        rows = BackupRestore.objects.filter(pk__in=page.ids).select_related("restored_by").in_bulk()
        there = [rows[id] for id in page.ids if id in rows]
        told = RestoreSerializer(there, many=True, context={"request": request}).data
        return tagged(Response({"results": told, "next": next_url(request, page.cursor)}), etag)

    @operation(
        id="getRestore",
        summary="Everything about a restore or verification",
        needs=Action.VIEW,
        parameters=[IF_NONE_MATCH],
        answers={200: RestoreSerializer, 304: SAME},
        problems=[404],
        examples=[examples.RESTORE],
        tag="restores",
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """With its progress while it is at work, and how it compared when it was done."""
        etag = etag_of(request, versions_of(BackupRestore.objects.filter(id=id)), links.basis(request))
        if (same := unchanged(request, etag)) is not None:
            return same
        return tagged(Response(self.told(self.found(id))), etag)

    def found(self, id: UUID) -> BackupRestore:
        """Raises NotFound."""
        self.require_visible()
        row = BackupRestore.objects.select_related("restored_by").filter(id=id).first()
        if row is None:
            raise NotFound(f"There is no restore {id}.")
        return row

    def told(self, row: BackupRestore) -> Any:
        """As JSON."""
        return RestoreSerializer(row, context={"request": self.request}).data

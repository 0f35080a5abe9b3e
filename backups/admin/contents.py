"""What is in a backup, and its signed manifest: read from the store, and proven, before anything of it is shown."""

import json
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from backups import catalog, conf, documents
from backups.admin.page import Page, found
from backups.manifest import LIMIT_BYTES, parse
from backups.models import BackupHistory
from backups.storage import keys
from backups.storage.attachment import disposition
from backups.storage.s3 import S3Store
from backups.storage.store import Store
from backups.types import Objects

# In this order, under these names; then the kinds that have none here, under PostgreSQL's.
HEADINGS: dict[str, "str | Promise"] = {
    "INDEX": _("Indexes"),
    "FUNCTION": _("Functions"),
    "VIEW": _("Views"),
    "MATERIALIZED VIEW": _("Materialized views"),
    "SEQUENCE": _("Sequences"),
    "TYPE": _("Types"),
    "DOMAIN": _("Domains"),
    "CONSTRAINT": _("Primary keys and unique constraints"),
    "FK CONSTRAINT": _("Foreign keys"),
    "CHECK CONSTRAINT": _("Check constraints"),
    "TRIGGER": _("Triggers"),
    "SCHEMA": _("Schemas"),
}
APART = ("TABLE", "EXTENSION")  # told with rows, and with versions
MOST = 2000  # tables, and objects of a kind, that a page lists
MOST_CHARACTERS = 200_000  # of a manifest


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Objects of one kind. `names` is empty where they were too many to be noted."""

    heading: "str | Promise"
    count: int
    names: tuple[str, ...]

    @property
    def more(self) -> int:
        """How many are not listed."""
        return self.count - len(self.names)


class OfManifest(Page):
    """Pages that read the manifest."""

    tab = "backups"

    def found(self, id: UUID) -> tuple[BackupHistory, catalog.Found]:
        """The row, and the store's own word for it. Raises Http404, and as `catalog.find` does."""
        row = found(BackupHistory.objects.defer("table_snapshot", "applied_migrations", "extensions"), id)
        server = conf.server("default")
        return row, catalog.find(catalog.key_of(row), environment=row.environment, database=row.database, server=server)


class Contents(OfManifest):
    """Tables, extensions, and everything else by its name."""

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """As a page."""
        row, held = self.found(id)
        snapshot = held.manifest.snapshot
        tables = documents.biggest_first(snapshot.tables)
        objects = held.manifest.objects
        return self.show(
            "backups/contents.html",
            row=row,
            manifest=held.manifest,
            place=place_of(held.store),
            tables=tables[:MOST],
            more_tables=max(0, len(tables) - MOST),
            kinds=None if objects is None else kinds_of(objects),
        )


class Manifest(OfManifest):
    """The JSON beside the dump, that makes it a backup."""

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """To read; with `as=file` to keep."""
        row, held = self.found(id)
        name = keys.manifest_key(row.filename)
        data = held.store.read(keys.manifest_key(held.key), limit_bytes=LIMIT_BYTES)
        parse(data, **conf.signing_keys())  # these very bytes, if somebody has changed them meanwhile
        if request.GET.get("as") == "file":
            headers = {"Content-Disposition": disposition(name), "Cache-Control": "no-store"}
            return HttpResponse(data, content_type="application/json", headers=headers)
        text = data.decode()
        return self.show(
            "backups/manifest.html",
            row=row,
            name=name,
            place=place_of(held.store),
            where=held.store.location(keys.manifest_key(held.key)),
            signature=json.loads(data)["signature"],
            text=text[:MOST_CHARACTERS],
            more=max(0, len(text) - MOST_CHARACTERS),
        )


def place_of(store: Store) -> "str | Promise":
    """Which of the two it is: where the bucket is silent, the local copy answers."""
    return _("the bucket") if isinstance(store, S3Store) else _("the local folder")


def kinds_of(objects: tuple[Objects, ...]) -> list[Kind]:
    """As they are told: those that have a name here first."""
    known = {one.kind: one for one in objects}
    order = [kind for kind in HEADINGS if kind in known] + [kind for kind in known if kind not in HEADINGS and kind not in APART]
    return [
        Kind(heading=HEADINGS.get(kind, kind.lower()), count=known[kind].count, names=known[kind].names[:MOST]) for kind in order
    ]


urlpatterns = [
    path("<uuid:id>/contents/", Contents.as_page(), name="contents"),
    path("<uuid:id>/manifest/", Manifest.as_page(), name="manifest"),
]

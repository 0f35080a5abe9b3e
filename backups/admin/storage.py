"""The bucket, as a file manager shows it: a page of a folder, each dump with its manifest, roles and pin folded under it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from backups import browsing, conf, stores, words
from backups.access import Action
from backups.admin.page import PROBLEM, Page
from backups.browsing import Folder, Item
from backups.downloading import LASTS_SECONDS, without_bytes
from backups.exceptions import BackupsError, UsageError
from backups.sentences import sentence
from backups.storage import keys

PAGE = 100  # keys, so about 33 backups: each dump has a manifest and roles beside it
SORTS = {"age": ("modified_at", True), "name": ("key", False), "size": ("size_bytes", True)}


@dataclass(frozen=True, kw_only=True)
class ObjectLine:
    """An object, and what belongs to it on this page."""

    item: Item
    parts: list[Item] = field(default_factory=list)
    is_bare: bool = False  # a dump that has no manifest beside it, here or on the page after

    @property
    def is_left(self) -> bool:
        """Whether it is what remained of a backup that was deleted."""
        return not self.item.is_known and self.item.row is not None

    @property
    def is_unknown(self) -> bool:
        """Whether the history knows nothing of it."""
        return not self.item.is_known and self.item.row is None

    @property
    def why_unknown(self) -> str:
        """What may be said of an object that no backup of the history has; empty for a known one."""
        if not self.is_unknown:
            return ""
        if self.item.kind == "dump" and self.is_bare:
            return _("a dump without a manifest: no backup, or none yet")
        if self.item.kind == "dump":
            return _("a dump without a row: reconciling reads its manifest")
        return _("stands beside a dump that is not here") if self.item.kind != browsing.OTHER else _("not a name of ours")


class BucketPage(Page):
    """What all of them have in common: who asked for what is no place of this environment's is led to one that is."""

    tab = "storage"

    def failed(self, error: BackupsError, *, template: str = PROBLEM, **context: Any) -> HttpResponse:
        """As every page, and where to begin."""
        begin = reverse("backups_panel:storage") if isinstance(error, UsageError) else ""
        return super().failed(error, template=template, begin=begin, **context)


class Storage(BucketPage):
    """A folder."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Its first page, or the one of the cursor."""
        if conf.store_options() is None:
            return self.show("backups/storage_none.html", local_folder=conf.current().local_folder)
        starts, sort = request.GET.get("starts", ""), request.GET.get("sort", "age")
        if "/" in starts:
            raise UsageError(
                sentence(gettext_noop("A name has no slash in it.")),
                hint=sentence(gettext_noop("Open the folder first, then filter in it.")),
            )
        prefix, cursor = request.GET.get("prefix", ""), request.GET.get("cursor", "")
        page = browsing.folder(prefix, size=PAGE, cursor=cursor, starts=starts)
        shown, lines = request.GET.get("show", ""), _lines(page, sort)
        kinds = {"unknown": [line for line in lines if line.is_unknown], "left": [line for line in lines if line.is_left]}
        first = {name: value for name, value in {"prefix": page.prefix, "starts": starts}.items() if value}
        there = {"prefix": page.prefix, "starts": starts, "sort": sort, "show": shown}
        return self.show(
            "backups/storage.html",
            page=page,
            trail=_trail(page),
            folders=[(one.removeprefix(page.prefix), one) for one in page.folders],
            lines=kinds.get(shown, lines),
            unknown=len(kinds["unknown"]),
            left=len(kinds["left"]),
            shown=shown if shown in kinds else "",
            starts=starts,
            sort=sort if sort in SORTS else "age",
            here="?" + urlencode(first | ({"cursor": cursor} if cursor else {})),
            first_address="?" + urlencode(first) if cursor else "",
            next_address="?" + urlencode(there | {"cursor": page.cursor}) if page.cursor else "",
        )


class DeleteUnknown(BucketPage):
    """One object that belongs to no backup, by its typed key."""

    action = "delete_object"
    needs = Action.PRUNE
    needs_to_post: ClassVar[Action | None] = Action.PRUNE

    def get(self, request: HttpRequest) -> HttpResponse:
        """Asks for its name."""
        return self._ask(request.GET.get("key", ""))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Deletes it, where its name was typed."""
        key = request.POST.get("key", "")
        name = key.rpartition("/")[2]
        shown = words.printable(name)  # what can't be seen can't be typed: its mark may be
        if request.POST.get("confirm", "") not in (name, shown):
            error = UsageError(sentence(gettext_noop("Type the name of the object: {name}. Nothing was deleted."), name=shown))
            self.note_refusal(str(error))
            return self._ask(key, wrong=error, status=400)
        browsing.delete_unknown(key)
        self.note(object=key)
        return self.done(_("%(name)s was deleted.") % {"name": shown}, to=_address_of(key.rpartition("/")[0] + "/"))

    def _ask(self, key: str, *, wrong: UsageError | None = None, status: int = 200) -> HttpResponse:
        store, there, distrusted = browsing.unknown(key)
        told = {"key": key, "name": key.rpartition("/")[2], "folder": _address_of(key.rpartition("/")[0] + "/")}
        told |= {"bucket": store.bucket, "distrusted": distrusted}
        return self.show("backups/storage_delete.html", status=status, there=there, wrong=wrong, **told)


class DownloadObject(BucketPage):
    """Any object below this environment's own prefix, by an address of the store's that lasts five minutes."""

    action = "download_object"
    needs = Action.DOWNLOAD

    def get(self, request: HttpRequest) -> HttpResponse:
        """Leads there."""
        key = request.GET.get("key", "")
        browsing.own_key(key)
        store = stores.configured().require_s3()
        if (there := store.head(key)) is None:
            raise browsing.missing(key, store)
        name = key.rpartition("/")[2]
        if request.method == "HEAD":
            return without_bytes(name, there.size_bytes)
        url = store.presigned(key, filename=name, seconds=LASTS_SECONDS)
        self.note(object=key, target="an address of the store")
        response = HttpResponseRedirect(url)
        response["Cache-Control"] = "no-store"
        return response


def _lines(page: Folder, sort: str) -> list[ObjectLine]:
    """Dumps with what belongs to them, and all else by itself."""
    dumps = [item for item in page.items if item.kind == "dump"]
    lines = {item.key: ObjectLine(item=item, is_bare=_is_bare(item, page)) for item in dumps}
    for item in page.items:
        if item.key in lines:
            continue
        if (owner := lines.get(item.dump_key)) is not None:
            owner.parts.append(item)
        else:
            lines[item.key] = ObjectLine(item=item)
    by, is_reversed = SORTS.get(sort, SORTS["age"])
    return sorted(lines.values(), key=lambda line: getattr(line.item, by), reverse=is_reversed)


def _is_bare(dump: Item, page: Folder) -> bool:
    """Whether the page shows that a dump has no manifest; where it ends before that would come, nobody has seen."""
    wanted, there = keys.manifest_key(dump.key), [*(item.key for item in page.items), *page.folders]
    return wanted not in there and (not page.cursor or max(there) > wanted)


def _trail(page: Folder) -> list[tuple[str, str]]:
    """The folders that lead here, with their addresses; the last is this one, without. Above the environment's there is nothing
    to see.
    """
    names = page.prefix.rstrip("/").split("/")
    places = ["/".join(names[: length + 1]) + "/" for length in range(len(names))]
    return [(name, _address_of(place) if place != page.prefix else "") for name, place in zip(names, places, strict=True)]


def _address_of(prefix: str) -> str:
    return f"{reverse('backups_panel:storage')}?{urlencode({'prefix': prefix})}"


urlpatterns = [
    path("storage/", Storage.as_page(), name="storage"),
    path("storage/delete/", DeleteUnknown.as_page(), name="storage-delete"),
    path("storage/download/", DownloadObject.as_page(), name="storage-download"),
]

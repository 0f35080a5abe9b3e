"""The bucket as a file manager shows it: a page of a folder, each object joined with the backup that it belongs to.

Only what is below this environment's own prefix. One listing request, and one question to the history, for each page.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.core import signing

from backups import conf, records, stores, words
from backups.catalog.proof import read_manifest
from backups.exceptions import ManifestError, ObjectMissingError, RefusedError, UnknownSignatureError, UsageError
from backups.models import BackupHistory
from backups.sentences import sentence as _
from backups.storage import keys
from backups.storage.s3 import S3Store
from backups.types import StoredObject

LARGEST, USUAL = 1000, 200
RECORD, OTHER = "record", "other"
KINDS = {
    keys.DUMP_SUFFIX + keys.MANIFEST_SUFFIX: "manifest",
    keys.DUMP_SUFFIX + keys.GLOBALS_SUFFIX: "globals",
    keys.DUMP_SUFFIX + keys.PIN_SUFFIX: "pin",
    keys.DUMP_SUFFIX: "dump",
}
LONGEST_SHOWN = 200  # characters of a key that somebody has made up
_SALT = "backups.browsing"
_COLUMNS = (
    *("id", "filename", "description", "status", "s3_key", "bucket", "created_at", "started_at", "deleted_at", "missing_at"),
    *("bad_at", "stored_at", "readable_at", "verified_at", "pin_reason", "backup_type", "environment"),
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """An object. `kind` is one of KINDS, record or other; `row` is the backup that it belongs to, None where the history knows
    none. Of a backup that was deleted, it is a leftover.
    """

    key: str
    size_bytes: int
    modified_at: datetime
    kind: str
    row: BackupHistory | None

    @property
    def name(self) -> str:
        """The last part of its key."""
        return keys.filename_of(self.key)

    @property
    def dump_key(self) -> str:
        """Of the dump that it is, or that it stands beside."""
        return dump_of(self.key)

    @property
    def is_known(self) -> bool:
        """Whether it belongs to a backup that the history knows and that was not deleted, or is a signed record of ours."""
        return (self.row is not None and self.row.deleted_at is None) or self.kind == RECORD


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A page of a folder. `cursor` leads to the next one; empty at the end."""

    bucket: str
    prefix: str
    folders: tuple[str, ...]
    items: tuple[Item, ...]
    cursor: str


def folder(prefix: str = "", *, size: int = USUAL, cursor: str = "", starts: str = "") -> Folder:
    """A page of `size` folders and objects, by their keys. `starts` is how their names begin.

    Raises UsageError for a prefix that is not this environment's own and for a cursor of another folder, ConfigurationError
    without a bucket, and StorageError.
    """
    prefix = own(prefix or usual())
    store = stores.configured().require_s3()
    page = store.folder(prefix + starts, size=size, after=_read(cursor, prefix + starts))
    rows, records_at = _known(page.objects, store), _records()
    return Folder(
        bucket=store.bucket,
        prefix=prefix,
        folders=tuple(page.folders),
        items=tuple(_item(one, rows, records_at=records_at) for one in page.objects),
        cursor=signing.dumps(page.after, salt=_SALT + prefix + starts) if page.after else "",
    )


def usual() -> str:
    """Where the backups are."""
    return keys.prefix(conf.current().environment)


def own(prefix: str) -> str:
    """The prefix. Raises UsageError for what is not a folder below this environment's own."""
    root = f"{conf.current().environment}/"
    parts = prefix.split("/")
    if not prefix.startswith(root) or parts[-1] or not {"", ".", ".."}.isdisjoint(parts[:-1]):
        raise UsageError(
            _("This must be a folder below {root}, with a slash at its end.", root=root),
            hint=_("Begin where the backups are, at {usual}, and open folders from there.", usual=usual()),
        )
    return prefix


def own_key(key: str) -> str:
    """The key. Raises UsageError for what names no object below this environment's own prefix."""
    root = f"{conf.current().environment}/"
    if not key.startswith(root) or not {"", ".", ".."}.isdisjoint(key.split("/")):
        shown = words.printable(key[:LONGEST_SHOWN])
        raise UsageError(
            _("Only objects below {root} may be seen or taken here, and the key {key} is none.", root=root, key=f"“{shown}”"),
            hint=_("Open the folder {usual} in the storage browser, and choose the object there.", usual=usual()),
        )
    return key


def dump_of(key: str) -> str:
    """The key of the dump that an object belongs to, by its name; its own where it is none of ours."""
    for suffix in (keys.MANIFEST_SUFFIX, keys.GLOBALS_SUFFIX, keys.PIN_SUFFIX):
        if key.endswith(keys.DUMP_SUFFIX + suffix):
            return key.removesuffix(suffix)
    return key


def unknown(key: str) -> tuple[S3Store, StoredObject, str]:
    """An object that belongs to no backup, with its store: it may be deleted, or looked at. And what is wrong with the manifest
    beside it, for which no history will ever know it; "" where there is none.

    Raises UsageError outside of this environment, ObjectMissingError where there is none, RefusedError where it belongs to a
    backup, or may be one of another site, or is a record of ours; and StorageError.
    """
    own_key(key)
    store = stores.configured().require_s3()
    if (there := store.head(key)) is None:
        raise missing(key, store)
    dump = dump_of(key)
    if BackupHistory.objects.filter(s3_key=dump, bucket=store.bucket, deleted_at=None).exists():
        raise RefusedError(
            _("{key} belongs to a backup.", key=key), hint=_("Delete the backup on its own page: all of it goes at once.")
        )
    if _is_record(key):
        raise RefusedError(
            _("{key} is a record of a restore or a verification.", key=key), hint=_("It is what brings the history back.")
        )
    return store, there, _distrusted(dump, store)


def _distrusted(dump: str, store: S3Store) -> str:
    """Why the manifest of a dump that no row is of is not to be trusted; "" where one of the two is missing. Raises RefusedError
    for one that can be, or of which nobody here can tell, and StorageError.
    """
    if store.head(dump) is None:
        return ""
    try:
        read_manifest(store, dump)
    except ObjectMissingError:
        return ""
    except UnknownSignatureError as error:
        raise RefusedError(
            _("{dump} may be a backup of another site, which nobody here can tell.", dump=dump),
            detail=str(error),
            hint=_(
                "Where nobody needs it, whoever may write to the bucket deletes it and its manifest with the store itself:"
                " aws s3 rm s3://{bucket}/{dump}",
                bucket=store.bucket,
                dump=shlex.quote(dump),
            ),
        ) from error
    except ManifestError as error:
        return "\n".join(filter(None, (error.message, error.detail)))
    raise RefusedError(
        _("{dump} is a backup that the history does not know.", dump=dump), hint=_("Let the history know it: icb db sync")
    )


def missing(key: str, store: S3Store) -> ObjectMissingError:
    """The error where the bucket has no such object."""
    return ObjectMissingError(
        _("There is no object {key} in the bucket {bucket}.", key=key, bucket=store.bucket),
        hint=_(
            "It may be gone since its folder was listed: open the folder {folder} again.", folder=key.rpartition("/")[0] + "/"
        ),
    )


def delete_unknown(key: str) -> None:
    """Deletes an object that belongs to no backup. Raises as `unknown` does."""
    store, _there, _why = unknown(key)
    store.delete(key)


def _read(cursor: str, prefix: str) -> str:
    try:
        return str(signing.loads(cursor, salt=_SALT + prefix)) if cursor else ""
    except (signing.BadSignature, ValueError) as error:
        raise UsageError(_("This is not the cursor of a page of this folder."), hint=_("Begin with its first.")) from error


def _known(objects: Sequence[StoredObject], store: S3Store) -> dict[str, BackupHistory]:
    wanted = {dump_of(one.key) for one in objects}
    rows = BackupHistory.objects.filter(s3_key__in=wanted, bucket=store.bucket).only(*_COLUMNS)
    return {row.s3_key: row for row in rows.order_by("deleted_at")}  # NULL comes last: one that is there counts


def _item(one: StoredObject, rows: dict[str, BackupHistory], *, records_at: str) -> Item:
    kind = (
        RECORD if one.key.startswith(records_at) else next((kind for end, kind in KINDS.items() if one.key.endswith(end)), OTHER)
    )
    row = rows.get(dump_of(one.key))
    return Item(key=one.key, size_bytes=one.size_bytes, modified_at=one.modified_at, kind=kind, row=row)


def _is_record(key: str) -> bool:
    return key.startswith(_records())


def _records() -> str:
    """Where the records are."""
    return records.prefix(conf.current().environment)

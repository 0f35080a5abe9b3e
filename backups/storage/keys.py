"""Names of things in the bucket: {environment}/postgres/backup-2024-01-15T1200-description.dump

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
"""

import re
from datetime import UTC, datetime

from backups.exceptions import UsageError
from backups.sentences import sentence as _
from backups.types import ENVIRONMENT_NAME

DESCRIPTION_RULE = _("letters a-z, digits, spaces, - and _, at most 100 characters, at least one letter or digit")
MAX_DESCRIPTION = 100
DUMP_SUFFIX = ".dump"
MANIFEST_SUFFIX = ".json"
GLOBALS_SUFFIX = ".globals.sql"
PIN_SUFFIX = ".pin"
_ALLOWED = re.compile(r"[A-Za-z0-9 _-]+")
_FILENAME = re.compile(r"backup-([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})?-([a-z0-9_-]+)\.dump")


def slug(description: str) -> str:
    """The description as it stands in a filename: lower-cased, spaces as hyphens.

    Raises UsageError with the rule when it has anything else in it.
    """
    made = re.sub(r"[ -]+", "-", description.lower()).strip("-")
    if len(description) > MAX_DESCRIPTION or not _ALLOWED.fullmatch(description) or not re.search("[a-z0-9]", made):
        raise UsageError(
            _("The description {description} can't be used.", description=_shortened(description)),
            detail=_("A description has {rule}.", rule=DESCRIPTION_RULE),
            hint="For example: icb db backup pre-migration",
        )
    return made


def filename(*, at: datetime, description: str, with_seconds: bool = False) -> str:
    """backup-2024-01-15T1200-pre-migration.dump, in UTC; with seconds where the minute is taken."""
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H%M%S" if with_seconds else "%Y-%m-%dT%H%M")
    return f"backup-{moment}-{slug(description)}{DUMP_SUFFIX}"


def prefix(environment: str) -> str:
    """Where an environment's backups are: production/postgres/"""
    return f"{environment}/postgres/"


def object_key(*, environment: str, filename: str) -> str:
    """The key of a backup's dump. Raises UsageError for what is no filename of ours, so no key leaves the prefix."""
    if not is_filename(filename):
        raise UsageError(f"{_shortened(filename)} is not the filename of a backup.", hint="icb db list shows them.")
    return prefix(environment) + filename


def manifest_key(key: str) -> str:
    """The key of the manifest that belongs to a dump."""
    return key + MANIFEST_SUFFIX


def globals_key(key: str) -> str:
    """The key of the roles and tablespaces beside a dump."""
    return key + GLOBALS_SUFFIX


def pin_key(key: str) -> str:
    """The key of a pin beside a dump: the reason why it must be kept, for when the history is lost."""
    return key + PIN_SUFFIX


def filename_of(key: str) -> str:
    """The last part of a key."""
    return key.rpartition("/")[2]


def is_filename(text: str) -> bool:
    """Whether it is a filename that `filename` could have made."""
    return started_at(text) is not None


def started_at(filename: str) -> datetime | None:
    """The moment that a filename tells, UTC; None when it is no filename of ours."""
    match = _FILENAME.fullmatch(filename)
    if match is None or not _is_slug(match[7]):
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def sortable(filename: str) -> str:
    """Orders filenames by their moment: with and without seconds together. Anything else comes first."""
    moment = started_at(filename)
    return f"{moment:%Y%m%dT%H%M%S}" + filename if moment is not None else ""


def before_minute(filename: str) -> str:
    """A text after which, in the order of their keys, come all filenames of that one's minute and of later ones; "" for no
    filename of ours."""
    moment = started_at(filename)
    return f"backup-{moment:%Y-%m-%dT%H%M}" if moment is not None else ""


def same_minute(one: str, other: str) -> bool:
    """Whether the filenames in two keys tell the same minute."""
    length = len("backup-2024-01-15T1200")
    return filename_of(one)[:length] == filename_of(other)[:length]


def is_backup_key(key: str) -> bool:
    """Whether it is the key of a dump that we could have made, in any environment."""
    environment, _slash, rest = key.partition("/")
    folder, _slash, filename = rest.rpartition("/")
    return ENVIRONMENT_NAME.fullmatch(environment) is not None and folder == "postgres" and is_filename(filename)


def split(place: str) -> tuple[str, str]:
    """Environment and filename of what a person typed: a key, an s3:// address, a local path, or only a filename.

    The environment is empty where none was typed. A manifest's name stands for its dump.
    """
    key = "/".join(place.removesuffix(MANIFEST_SUFFIX).split("/")[-3:])
    return (key.partition("/")[0] if is_backup_key(key) else ""), filename_of(key)


def _is_slug(text: str) -> bool:
    try:
        return slug(text) == text
    except UsageError:
        return False


def _shortened(text: str) -> str:
    return repr(text if len(text) <= MAX_DESCRIPTION else text[:MAX_DESCRIPTION] + "…")

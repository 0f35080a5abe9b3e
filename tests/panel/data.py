"""What on the pages of the panel is data, which nobody translates; and what of a page is neither data nor translated."""

from collections.abc import Iterator

from django.contrib.auth import get_user_model
from django.db import models
from django.test import Client
from django_celery_beat.models import PeriodicTask

from backups import conf
from backups.models import AuditEntry, BackupHistory, BackupRestore, Incident
from tests.panel.pseudo import left, unmarked

# What is data by where it stands: keys, names in full, addresses; commands to copy; what others have said, word by word.
DATA_IN = {"key", "cmd", "said", "code"}
# What is data by its look: sizes; our command, filenames; moments, versions; names of products, programs and settings; paths.
SHAPES = (
    r"\d[\d.,]*\s?(?:B|KiB|MiB|GiB|TiB)\b",
    r"\bicb (?:status|up|db [a-z-]+)(?: (?:latest|now|first|again)\b)?(?: --[a-z-]+)*|\b[\w-]+\.dump(?:\.[a-z]+)*",
    r"\b(?:UTC|T?\d+Z?|v?\d[\w.]*)\b",
    r"\bPostgreSQL\b|\bpg_(?:dump|restore)\b|\bCVE-[\d-]+|\b(?:HMAC-)?SHA-?256\b",
    r"\b[A-Z]+_[A-Z_]+\b",
    r"\bt_\w+_undone_\w+|\bs3://",
    r"/[\w./-]+",
)


def stored() -> set[str]:
    """What rows say in words of their own: names, and messages that were written once, for the log as for the page."""
    known: set[str] = set()
    for row in PeriodicTask.objects.values_list("name", "description"):
        known |= set(row)
    for model in (BackupHistory, BackupRestore, Incident, AuditEntry, get_user_model()):
        fields = [
            f
            for f in model._meta.concrete_fields
            if not f.choices and isinstance(f, models.CharField | models.TextField | models.JSONField)
            if (model, f.name) != (AuditEntry, "detail")  # what a page refuses is noted there, before the page is read here
        ]
        for row in model._default_manager.values_list(*(field.name for field in fields)):
            for value in row:
                known |= set(_strings(value))
    return known


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from (value, *value.splitlines())
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def names() -> set[str]:
    """Of what this site is made: its databases, servers, bucket, environment and groups, and the products that it names."""
    server = conf.server("default")
    ids = {"client programs", "scratch", "store", "copies", "backups", "upkeep"}  # of checks and what they are about
    return {
        server.database,
        server.host,
        server.user,
        server.address,
        conf.current().environment,
        "default",
        "source",
        "postgres",
        *ids,
    }


def untranslated(
    client: Client,
    address: str,
    *,
    status: int = 200,
    data: dict[str, str] | None = None,
    more: set[str] = frozenset(),
    **headers: str,
) -> list[str]:  # type: ignore[assignment]
    """What a page shows, and no catalogue was asked for, without what is data."""
    answer = client.get(address, **headers) if data is None else client.post(address, data)
    assert answer.status_code == status, address
    return left(unmarked(answer.content.decode()), data_in=DATA_IN, known=stored() | names() | more, shapes=SHAPES)

"""What can be done with a row now, by whoever asks: as its state and their permissions have it. What is not here is refused."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from backups import access, conf
from backups.access import Action
from backups.exceptions import BackupsError
from backups.models import UNENDED, BackupHistory, BackupRestore, RestorePurpose, Status

NAMESPACE = "backups_api"
Address = Callable[..., str]  # of an operation's name and row id


def of_backup(row: BackupHistory, request: Any, *, address: Address) -> dict[str, str]:
    """By name. `diff` is the one from the backup before it."""
    found: dict[str, str] = {}
    is_whole = row.status == Status.SUCCEEDED and row.deleted_at is None
    is_ours = row.environment == conf.current().environment

    def add(name: str, needs: Action, *, when: bool, route: str = "", **more: object) -> None:
        if when and access.may(request, needs):
            found[name] = address(route or name, row.pk, request, **more)

    add("contents", Action.VIEW, when=is_whole)
    if (before := before_of(row)) is not None:
        found["diff"] = address("diff", before, request, other=row.pk)
    add("verify", Action.VERIFY, when=is_whole)
    add("cancel", Action.RUN, when=row.status in UNENDED and is_ours)
    add("pin", Action.PRUNE, when=is_whole)
    add("download", Action.DOWNLOAD, when=is_whole and is_ours)
    add("restore", Action.RESTORE, when=is_whole and bool(conf.current().restore_targets), route="restore-backup")
    return found


def of_restore(row: BackupRestore, request: Any, *, address: Address) -> dict[str, str]:
    """The same of a restore or verification."""
    found: dict[str, str] = {}
    if row.status in UNENDED and row.target_environment == conf.current().environment and access.may(request, to_cancel(row)):
        found["cancel"] = address("cancel-restore", row.pk, request)
    can_go_back = row.purpose == RestorePurpose.RESTORE and row.kept_database and row.target_database in _targets()
    if can_go_back and access.may(request, Action.RESTORE):
        found["undo"] = address("undo", row.pk, request)
    return found


def to_cancel(row: BackupRestore) -> Action:
    """The permission that stopping it needs."""
    return Action.RESTORE if row.purpose == RestorePurpose.RESTORE else Action.VERIFY


def before_of(row: BackupHistory) -> UUID | None:
    """The id of the whole backup of the same database that was made before it; None where there is none to compare."""
    if row.status != Status.SUCCEEDED or row.deleted_at is not None:
        return None
    same = BackupHistory.objects.succeeded().of_environment(row.environment).filter(database=row.database)
    return same.filter(created_at__lt=row.created_at).newest_first().values_list("pk", flat=True).first()


def basis(request: Any, *rows: BackupHistory) -> str:
    """What links, and the last day of what is kept, depend on beside the version of a row: with it, they are the same."""
    may = [action for action in Action if access.may(request, action)]
    settings = conf.current()
    return " ".join([*may, *settings.restore_targets, str(settings.keep_replaced_days), *(str(before_of(row)) for row in rows)])


def _targets() -> set[str]:
    names = set()
    for alias in conf.current().restore_targets:
        with suppress(BackupsError):
            names.add(conf.server(alias).database)
    return names

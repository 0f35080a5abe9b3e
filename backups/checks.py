"""System checks: settings that can't work are said at start, by id."""

from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register

from backups import conf
from backups.exceptions import BackupsError


@register("backups")
def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """BACKUPS and STORAGES["backups"] fit together."""
    try:
        settings = conf.current()
        options = conf.store_options()
    except BackupsError as error:
        return [Error(error.message, hint=f"{error.detail} {error.hint}".strip(), id="backups.E001")]
    found: list[CheckMessage] = []
    if not settings.signing_key:
        found.append(
            Error(
                "BACKUPS['SIGNING_KEY'] is empty: no backup can be signed.",
                hint="Set BACKUPS_SIGNING_KEY to a long random text.",
                id="backups.E002",
            )
        )
    elif len(settings.signing_key) < 32:
        found.append(Warning("BACKUPS['SIGNING_KEY'] is shorter than 32 characters.", id="backups.W001"))
    if options is None and settings.local_folder is None:
        found.append(
            Error(
                "Backups have nowhere to go: no bucket and no local folder.",
                hint="Set AWS_S3_BACKUP_BUCKET or BACKUPS_LOCAL_FOLDER.",
                id="backups.E003",
            )
        )
    found.extend(_check_folders(settings))
    found.extend(_check_retention())
    return found


def _check_retention() -> list[CheckMessage]:
    from backups.prune.rules import policy

    try:
        policy()
    except BackupsError as error:
        return [Error(error.message, hint=f"{error.detail} {error.hint}".strip(), id="backups.E004")]
    return []


def _check_folders(settings: conf.Settings) -> list[CheckMessage]:
    missing = [folder for folder in settings.client_folders if not Path(folder).is_dir()]
    return [
        Warning(
            f"The folder of client programs {folder} is not there.", hint="Correct BACKUPS_CLIENT_FOLDERS.", id="backups.W002"
        )
        for folder in missing
    ]

"""System checks: settings that can't work are said at start, by id."""

from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.management import get_commands
from django.db import connections

from backups import conf
from backups.assertions import require_understood
from backups.exceptions import BackupsError
from backups.notifications import URLReceiver, receivers


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
    if 0 < len(settings.metrics_token) < 16:
        hint = "Make another BACKUPS_METRICS_TOKEN: openssl rand -hex 32"
        found.append(Warning("BACKUPS['METRICS_TOKEN'] is shorter than 16 characters.", hint=hint, id="backups.W003"))
    if options is None and settings.local_folder is None:
        found.append(
            Error(
                "Backups have nowhere to go: no bucket and no local folder.",
                hint="Set AWS_S3_BACKUP_BUCKET or BACKUPS_LOCAL_FOLDER.",
                id="backups.E003",
            )
        )
    found.extend(_check_folders(settings))
    found.extend(_check_guard(settings))
    found.extend(_check_retention())
    found.extend(_check_verification(settings))
    found.extend(_check_receivers(settings))
    found.extend(_check_targets(settings))
    return found


def _check_targets(settings: conf.Settings) -> list[CheckMessage]:
    """Whether the API may restore only onto what there is."""
    unknown = sorted(set(settings.restore_targets) - set(connections))
    hint = f"Known are: {', '.join(sorted(connections))}. DATABASE_URL_<ALIAS> adds one."
    return [
        Error(f"BACKUPS['RESTORE_TARGETS'] names {alias!r}, and no database has that alias.", hint=hint, id="backups.E013")
        for alias in unknown
    ]


def _check_receivers(settings: conf.Settings) -> list[CheckMessage]:
    """Whether alerts can be written to whom they are for; whether they arrive, `db_alert_test` tells."""
    found: list[CheckMessage] = []
    for receiver in receivers():
        if isinstance(receiver, URLReceiver) and receiver.service() is None:
            found.append(
                Error(
                    f"apprise can't read a URL of BACKUPS['ALERT_URLS']: {receiver.name}.", hint=receiver.hint, id="backups.E011"
                )
            )
    by_smtp = django_settings.EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend"
    if settings.alert_emails and by_smtp and not django_settings.EMAIL_HOST:
        found.append(
            Error(
                "BACKUPS['ALERT_EMAILS'] has addresses, and no mail server is named.",
                hint="Set EMAIL_URL: smtp+tls://user:password@host:587, or EMAIL_HOST and what belongs to it.",
                id="backups.E012",
            )
        )
    if settings.alert_emails and django_settings.DEFAULT_FROM_EMAIL == "webmaster@localhost":
        found.append(
            Warning(
                "Alerts would come from webmaster@localhost, which most mail servers refuse.",
                hint="Set DEFAULT_FROM_EMAIL to an address that your mail server may send from.",
                id="backups.W011",
            )
        )
    return found


def _check_guard(settings: conf.Settings) -> list[CheckMessage]:
    """An app that stands before this one may have a migrate of its own; Django takes the first."""
    owner = get_commands()["migrate"]
    if owner == "backups" or settings.guard_migrations == "off":
        return []
    return [
        Warning(
            f"No backup is made before migrations: manage.py migrate is the one of {owner}.",
            hint='Let "backups" stand before it in INSTALLED_APPS, or set BACKUPS["GUARD_MIGRATIONS"] to "off".',
            id="backups.W004",
        )
    ]


def _check_verification(settings: conf.Settings) -> list[CheckMessage]:
    """Of each assertion its form; whether its SQL fits the database shows only there."""
    found: list[CheckMessage] = []
    for assertion in settings.verify_assertions:
        try:
            require_understood(assertion)
        except BackupsError as error:
            found.append(Error(error.message, hint=error.hint, id="backups.E005"))
    if settings.verify_database not in connections:
        found.append(
            Error(
                f"BACKUPS['VERIFY_DATABASE'] is {settings.verify_database!r}, and no database has that alias.",
                hint=f"Known are: {', '.join(sorted(connections))}. BACKUPS_VERIFY_DATABASE names one.",
                id="backups.E006",
            )
        )
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

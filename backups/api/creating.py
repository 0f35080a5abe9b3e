"""A backup that is asked for: once for each Idempotency-Key, one at a time of a database, only where somebody will make it."""

import hashlib
import json
import logging
import re
import time
from typing import Any

from django.db import connections, router, transaction
from kombu.exceptions import OperationalError as BrokerError
from rest_framework import serializers
from rest_framework.request import Request

from backups import access, conf, health, tasks
from backups.api.fields import Strict
from backups.api.problems import RETRY_SECONDS, Problem
from backups.api.rows import url_of
from backups.backup import DatabaseBackup
from backups.exceptions import NoRoomError, UsageError
from backups.heartbeats import BACKUPS
from backups.models import BackupHistory, BackupRestore, Status
from backups.storage import keys
from backups.types import State

LONGEST_WAIT = 120  # seconds: proxies give up soon after
LOOK_SECONDS = 0.5
LONGEST_KEY = 255
UNENDED = (Status.PENDING, Status.RUNNING)

logger = logging.getLogger(__name__)


class NewBackupSerializer(Strict):
    """The backup that is wanted."""

    description = serializers.CharField(
        max_length=keys.MAX_DESCRIPTION, help_text=f"It becomes part of the filename: {keys.DESCRIPTION_RULE}."
    )
    upload_to_s3 = serializers.BooleanField(default=True)
    save_local = serializers.BooleanField(default=False)
    database = serializers.CharField(default="default", max_length=50, help_text="The alias of the database in the settings.")

    def validate_description(self, value: str) -> str:
        """Raises ValidationError with the rule."""
        try:
            keys.slug(value)
        except UsageError as error:
            raise serializers.ValidationError(f"{error.message} {error.detail}") from error
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raises ValidationError where it has nowhere to go."""
        if not attrs["upload_to_s3"] and not attrs["save_local"]:
            raise serializers.ValidationError("The backup has nowhere to go: upload_to_s3, save_local or both must be true.")
        return attrs


def ask_for(request: Request, wanted: dict[str, Any]) -> tuple[BackupHistory, bool]:
    """The queued row of the backup that is wanted, and whether it is new: the same Idempotency-Key is the same backup.

    Raises Problem where another one is in the way, and where nobody would make it; and as DatabaseBackup does.
    """
    key, digest = _key(request), _digest(wanted)
    if (known := _known(request, key, digest)) is not None:
        return known, False
    story = DatabaseBackup(
        description=wanted["description"],
        database=wanted["database"],
        upload_to_s3=wanted["upload_to_s3"],
        save_local=wanted["save_local"],
        user=request.user,
    )
    require_worker()
    with handed_out(), transaction.atomic(using=router.db_for_write(BackupHistory)):
        try:
            access.require_room()  # from here to the end of the transaction, others who ask wait
        except NoRoomError:
            _require_none_of(story.row.database, request)
            raise
        if (known := _known(request, key, digest)) is not None:
            return known, False
        _require_none_of(story.row.database, request)
        story.row.idempotency_key, story.row.idempotency_digest = key, digest if key else ""
        tasks.hand_out([story.request()])
    return story.row, True


class handed_out:  # noqa: N801 - read as what it is at its use
    """A broker that can't be reached after the row is written loses nothing: what nobody took is handed out again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> bool:
        if not isinstance(error, BrokerError | OSError):
            return False
        logger.error("The broker could not be reached; the row waits until it is handed out again: %s", error)
        return True


def require_worker() -> None:
    """That somebody takes what is queued. Raises Problem."""
    check = health.worker_of(BACKUPS)
    if check.state is not State.OK:
        raise Problem(
            "No worker is alive that would do this, so it was not queued.",
            status=503,
            kind="no-worker",
            detail=f"{check.text} [{check.threshold}]",
            hint="Start one: icb up. Workers show that they are alive each minute, by the scheduler: both must run.",
            headers={"Retry-After": RETRY_SECONDS},
        )


def _require_none_of(database: str, request: Request) -> None:
    rows = BackupHistory.objects.of_environment(conf.current().environment).filter(database=database, status__in=UNENDED)
    other = rows.order_by("created_at").only("id", "filename", "status").first()
    if other is not None:
        raise in_the_way(f"A backup of {database} is {_words(other.status)} already.", url_of("backup", other.id, request))


def require_no_restore_onto(database: str, request: Request) -> None:
    """Raises Problem while a restore onto a database of that name is queued or at work."""
    rows = BackupRestore.objects.filter(target_environment=conf.current().environment, target_database=database)
    other = rows.filter(status__in=UNENDED, purpose="restore").order_by("created_at").only("id", "status").first()
    if other is not None:
        raise in_the_way(f"A restore onto {database} is {_words(other.status)} already.", url_of("restore", other.id, request))


def in_the_way(message: str, url: str) -> Problem:
    """Another run must end first."""
    return Problem(
        message,
        status=409,
        kind="running",
        detail=f"It is {url}",
        hint="Wait until it has ended, or cancel it.",
        headers={"Link": f'<{url}>; rel="related"', "Retry-After": RETRY_SECONDS},
        running=url,
    )


def _words(status: str) -> str:
    return "queued" if status == Status.PENDING else "running"


def _key(request: Request) -> str:
    given = request.headers.get("Idempotency-Key", "")
    if len(given) > LONGEST_KEY:
        raise UsageError(f"The Idempotency-Key is longer than {LONGEST_KEY} characters.")
    return access.actor_key(request, given)


def _digest(wanted: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def _known(request: Request, key: str, digest: str) -> BackupHistory | None:
    """What this key stands for already. Raises Problem where that was another request."""
    if not key:
        return None
    rows = BackupHistory.objects.of_environment(conf.current().environment)
    known = rows.filter(triggered_by_id=request.user.pk, idempotency_key=key).first()
    if known is not None and known.idempotency_digest != digest:
        raise Problem(
            "This Idempotency-Key was used for another request.",
            status=422,
            kind="key-reused",
            detail=f"It made {url_of('backup', known.id, request)}",
            hint="Use a new key for each new request.",
        )
    return known


def seconds_to_wait(request: Request) -> int:
    """What `Prefer: wait=60` says, LONGEST_WAIT at most; 0 where nothing is preferred. https://www.rfc-editor.org/rfc/rfc7240"""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})", request.headers.get("Prefer", ""), re.IGNORECASE)
    return min(int(found[1]), LONGEST_WAIT) if found else 0


def wait_for(row: BackupHistory, *, seconds: float) -> BackupHistory:
    """Looks until it has ended, or the time is over. Between the looks it holds no connection to the database."""
    deadline = time.monotonic() + seconds
    while row.status in UNENDED and time.monotonic() < deadline:
        connections[router.db_for_read(BackupHistory)].close()
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        row.refresh_from_db(fields=["status"])
    return row


def require_made(row: BackupHistory, request: Request) -> None:
    """Raises Problem for one that has ended otherwise."""
    if row.status in (Status.FAILED, Status.CANCELLED):
        row.refresh_from_db(fields=["error_message"])
        raise Problem(
            f"The backup {row.filename} {'has failed' if row.status == Status.FAILED else 'was cancelled'}.",
            status=500 if row.status == Status.FAILED else 409,
            kind="failed" if row.status == Status.FAILED else "cancelled",
            detail=row.error_message,
            hint="What it had begun was removed.",
            backup=url_of("backup", row.id, request),
        )

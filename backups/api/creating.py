"""A backup that is asked for: what a request may say of it, and waiting for its end."""

import hashlib
import json
import re
import threading
import time
from typing import Any

from django.db import connections, router
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from backups import access, asking
from backups.api.fields import Flag, Strict, Text
from backups.api.problems import Problem
from backups.api.rows import url_of
from backups.exceptions import UsageError
from backups.models import UNENDED, BackupHistory, Status
from backups.storage import keys

LONGEST_WAIT = 120  # seconds: proxies give up soon after
LOOK_SECONDS = 0.5
MOST_WAITING = 4  # of one process at a time: half of the threads that a server of ours has, and the rest answers meanwhile
WAITING = threading.BoundedSemaphore(MOST_WAITING)
LONGEST_KEY = 255


class NewBackupSerializer(Strict):
    """The backup that is wanted."""

    description = Text(max_length=keys.MAX_DESCRIPTION, help_text=f"It becomes part of the filename: {keys.DESCRIPTION_RULE}.")
    upload_to_s3 = Flag(default=True)
    save_local = Flag(default=False)
    database = Text(default="default", max_length=50, help_text="The alias of the database in the settings.")

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

    Raises UsageError for a key that is too long, and as asking.for_backup does.
    """
    given = request.headers.get("Idempotency-Key", "")
    if len(given) > LONGEST_KEY:
        raise UsageError(f"The Idempotency-Key is longer than {LONGEST_KEY} characters.")
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    return asking.for_backup(**wanted, user=request.user, key=access.actor_key(request, given), digest=digest)


def seconds_to_wait(request: Request) -> int:
    """What `Prefer: wait=60` says, LONGEST_WAIT at most; 0 where nothing is preferred. https://www.rfc-editor.org/rfc/rfc7240"""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})", request.headers.get("Prefer", ""), re.IGNORECASE)
    return min(int(found[1]), LONGEST_WAIT) if found else 0


def wait_for(row: BackupHistory, *, seconds: float) -> bool:
    """Looks until it has ended, or the time is over; False, at once, where MOST_WAITING others wait already. Between the looks
    it holds no connection to the database. Raises NotFound where the row goes meanwhile.
    """
    if not WAITING.acquire(blocking=False):
        return False
    try:
        deadline = time.monotonic() + seconds
        while row.status in UNENDED and time.monotonic() < deadline:
            connections[router.db_for_read(BackupHistory)].close()
            time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
            row.refresh_from_db(fields=["status"])
    except BackupHistory.DoesNotExist as error:
        raise NotFound(f"The backup {row.id} is not in the history any more: it was there when you began to wait.") from error
    finally:
        WAITING.release()
    return True


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

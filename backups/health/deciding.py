"""What decides whether somebody is safe: which checks, and in what words. One answer for the command, the API and the panel."""

from collections.abc import Iterable
from enum import StrEnum

from backups.sentences import sentence as _
from backups.types import Check, State

# Servers and stores are asked for these; the history does not tell them.
ASKED = frozenset({"bucket-reachable", "backup-role"})
# Without all of these there may be nothing to restore, nothing that is known to restore, or nothing will be made.
DECIDING = ASKED | {"history", "newest-backup", "verification"}
_AGAINST = {
    "newest-backup": _("The newest backup of {subject} is bad or too old, or there is none in a bucket."),
    "verification": _("Nothing of {subject} has been proven lately."),
    "bucket-reachable": _("The bucket could not be reached."),
    "backup-role": _("The role that makes backups of {subject} can't read everything."),
}
_NOT_ASKED = {
    "history": _("The history could not be asked."),
    "bucket-reachable": _("Whether the bucket can be reached could not be asked."),
    "backup-role": _("Whether the role that makes backups can read all of {subject} could not be asked."),
}


class Standing(StrEnum):
    """The answer. UNKNOWN is no yes: nothing speaks against being safe, but not all that decides could be asked."""

    SAFE = "ok"
    UNKNOWN = "unknown"
    UNSAFE = "bad"


def standing(checks: Iterable[Check]) -> Standing:
    """By those of them that decide."""
    states = {check.state for check in checks if check.id in DECIDING}
    if State.BAD in states:
        return Standing.UNSAFE
    return Standing.UNKNOWN if State.UNKNOWN in states else Standing.SAFE


def reasons(checks: Iterable[Check]) -> list[str]:
    """Why the answer is no yes, a sentence for each check that decides; first what is known."""
    deciding = [check for check in checks if check.id in DECIDING]
    return [_why(check) for state in (State.BAD, State.UNKNOWN) for check in deciding if check.state is state]


def _why(check: Check) -> str:
    if check.id == "bucket-reachable" and not check.subject:
        return _("No bucket is configured.")
    words = (_AGAINST if check.state is State.BAD else _NOT_ASKED).get(check.id)
    if words is None:
        return _("{check} could not be asked.", check=check.id)
    return _(words, subject=check.subject) if "{subject}" in words else words

"""The events, in the words of their messages. A title is short enough for a phone; `{subject}` is what it is about."""

from dataclasses import dataclass

OF_A_RECEIVER = "receiver-failed"
SUBJECT_LENGTH = 80  # in a title


@dataclass(frozen=True)
class Words:
    """What is said when it begins, when it ends, and what somebody who reads that it ended should know besides."""

    begins: str
    ends: str
    note: str = ""


_WORDS = {
    "backup-failed": Words("backup of {subject} failed", "backups of {subject} work again", "A newer backup has succeeded."),
    "verification-failed": Words(
        "bad backup: {subject}",
        "no longer a bad backup: {subject}",
        "It was restored and found good after all, or it was deleted, or no store has it any more: icb db list tells.",
    ),
    "damaged-copy": Words("damaged copy: {subject}", "every copy is good again: {subject}"),
    "verification-unable": Words("backups of {subject} can't be verified", "backups of {subject} are verified again"),
    "shrink": Words(
        "tables of {subject} have shrunk",
        "tables of {subject} shrink no further",
        "The newest backup has lost nothing more. What was lost before is not back for that: icb db diff tells.",
    ),
    "prune-refused": Words("prune refused", "prunes go on again"),
    "unknown-objects": Words("unknown objects in the bucket", "no unknown objects any more"),
    "backups-missing": Words("backups are missing in the store", "all backups are where they should be"),
    "sync-failed": Words("sync could not look everywhere", "sync looks everywhere again"),
    "schedule-failed": Words("schedule without backup: {subject}", "schedule works again: {subject}"),
    "schedule-unfollowed": Words("schedule that can't be followed: {subject}", "schedule works again: {subject}"),
    OF_A_RECEIVER: Words("nobody heard at {subject}", "{subject} takes messages again"),
    # checks of health
    "newest-backup": Words("newest backup of {subject} too old", "newest backup of {subject} young enough"),
    "verification": Words("nothing of {subject} proven lately", "backups of {subject} proven again"),
    "disk": Words("disk nearly full: {subject}", "disk has room again: {subject}"),
    "bucket-space": Words("bucket nearly full: {subject}", "bucket has room again: {subject}"),
    "scheduler": Words("the scheduler is silent", "the scheduler is back"),
    "worker": Words("the worker is silent: {subject}", "the worker is back: {subject}"),
}


def begins(event: str, subject: str) -> str:
    """The title without its environment."""
    return _filled(_words(event).begins, subject)


def ends(event: str, subject: str) -> str:
    """The title of the end."""
    return _filled(_words(event).ends, subject)


def note(event: str) -> str:
    """What to know when it has ended; empty for most."""
    return _words(event).note


def _words(event: str) -> Words:
    name = event.replace("-", " ")
    return _WORDS.get(event, Words(f"{name} not OK: {{subject}}", f"{name} OK again: {{subject}}"))


def _filled(words: str, subject: str) -> str:
    if not subject:
        words = words.replace(" of {subject}", "").replace(": {subject}", "")
    short = subject if len(subject) <= SUBJECT_LENGTH else f"{subject[:SUBJECT_LENGTH]}…"
    return words.replace("{subject}", short)

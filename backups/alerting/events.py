"""The events, in the words of their messages. A title is short enough for a phone; `{subject}` is what it is about."""

from dataclasses import dataclass

from backups.sentences import sentence as _

OF_A_RECEIVER = "receiver-failed"
SUBJECT_LENGTH = 80  # in a title


@dataclass(frozen=True)
class Words:
    """What is said when it begins, when it ends, and what somebody who reads that it ended should know besides.

    `unnamed` is what begins and ends where nobody told what it is about: words with a place for a subject need it.
    """

    begins: str
    ends: str
    note: str = ""
    unnamed: tuple[str, str] | tuple[()] = ()


_WORDS = {
    "backup-failed": Words(
        _("backup of {subject} failed"),
        _("backups of {subject} work again"),
        _("A newer backup has succeeded."),
        unnamed=(_("backup failed"), _("backups work again")),
    ),
    "verification-failed": Words(
        _("bad backup: {subject}"),
        _("no longer a bad backup: {subject}"),
        _("It was restored and found good after all, or it was deleted, or no store has it whole any more: icb db list tells."),
        unnamed=(_("bad backup"), _("no longer a bad backup")),
    ),
    "damaged-copy": Words(
        _("damaged copy: {subject}"),
        _("every copy is good again: {subject}"),
        unnamed=(_("damaged copy"), _("every copy is good again")),
    ),
    "verification-unable": Words(
        _("backups of {subject} can't be verified"),
        _("backups of {subject} are verified again"),
        unnamed=(_("backups can't be verified"), _("backups are verified again")),
    ),
    "shrink": Words(
        _("tables of {subject} have shrunk"),
        _("tables of {subject} shrink no further"),
        _("The newest backup has lost nothing more. What was lost before is not back for that: icb db diff tells."),
        unnamed=(_("tables have shrunk"), _("tables shrink no further")),
    ),
    "prune-refused": Words(_("prune refused"), _("prunes go on again")),
    "unknown-objects": Words(_("unknown objects in the bucket"), _("no unknown objects any more")),
    "backups-missing": Words(_("backups are missing in the store"), _("all backups are where they should be")),
    "sync-failed": Words(_("sync could not look everywhere"), _("sync looks everywhere again")),
    "schedule-failed": Words(
        _("schedule without backup: {subject}"),
        _("schedule works again: {subject}"),
        unnamed=(_("schedule without backup"), _("schedule works again")),
    ),
    "schedule-unfollowed": Words(
        _("schedule that can't be followed: {subject}"),
        _("schedule works again: {subject}"),
        unnamed=(_("schedule that can't be followed"), _("schedule works again")),
    ),
    OF_A_RECEIVER: Words(
        _("nobody heard at {subject}"),
        _("{subject} takes messages again"),
        unnamed=(_("nobody heard at a receiver"), _("a receiver takes messages again")),
    ),
    # checks of health
    "client-programs": Words(
        _("another pg_dump or pg_restore is needed for the server {subject}"),
        _("pg_dump and pg_restore suit the server {subject}"),
        unnamed=(_("another pg_dump or pg_restore is needed for the server"), _("pg_dump and pg_restore suit the server")),
    ),
    "newest-backup": Words(
        _("newest backup of {subject} bad or too old"),
        _("newest backup of {subject} good and young enough"),
        unnamed=(_("newest backup bad or too old"), _("newest backup good and young enough")),
    ),
    "verification": Words(
        _("nothing of {subject} proven lately"),
        _("backups of {subject} proven again"),
        unnamed=(_("nothing proven lately"), _("backups proven again")),
    ),
    "disk": Words(
        _("disk nearly full: {subject}"),
        _("disk has room again: {subject}"),
        unnamed=(_("disk nearly full"), _("disk has room again")),
    ),
    "bucket-space": Words(
        _("bucket nearly full: {subject}"),
        _("bucket has room again: {subject}"),
        unnamed=(_("bucket nearly full"), _("bucket has room again")),
    ),
    "scheduler": Words(_("the scheduler is silent"), _("the scheduler is back")),
    "worker": Words(
        _("the worker is silent: {subject}"),
        _("the worker is back: {subject}"),
        unnamed=(_("the worker is silent"), _("the worker is back")),
    ),
}


def begins(event: str, subject: str) -> str:
    """The title without its environment."""
    return _words(event, subject).begins


def ends(event: str, subject: str) -> str:
    """The title of the end."""
    return _words(event, subject).ends


def note(event: str) -> str:
    """What to know when it has ended; empty for most."""
    return _words(event, "").note


def _words(event: str, subject: str) -> Words:
    """With the subject in its place; of a check of health that has no words of its own, by its name."""
    if (known := _WORDS.get(event)) is not None:
        begins, ends = (known.begins, known.ends) if subject else known.unnamed or (known.begins, known.ends)
        return Words(_filled(begins, subject), _filled(ends, subject), known.note)
    check = event.replace("-", " ")
    if not subject:
        return Words(_("{check} not OK", check=check), _("{check} OK again", check=check))
    named = {"check": check, "subject": _short(subject)}
    return Words(_("{check} not OK: {subject}", **named), _("{check} OK again: {subject}", **named))


def _filled(words: str, subject: str) -> str:
    """What names nothing has no place for a subject."""
    return _(words, subject=_short(subject)) if "{subject}" in words else words


def _short(subject: str) -> str:
    return subject if len(subject) <= SUBJECT_LENGTH else f"{subject[:SUBJECT_LENGTH]}…"

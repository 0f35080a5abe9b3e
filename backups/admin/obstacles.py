"""Why something can't be done with a backup, as far as its row knows: said before anything is asked for, or any store."""

from django.utils.translation import gettext_noop

from backups import conf, words
from backups.admin import figures
from backups.exceptions import RefusedError
from backups.models import BackupHistory, Status
from backups.sentences import Sentence, sentence


def to_using(row: BackupHistory) -> Sentence | None:
    """Why there is nothing of it: it is not whole, or was deleted."""
    if row.status != Status.SUCCEEDED:
        return sentence(
            gettext_noop("{filename} is no whole backup: it is {status}. Nothing of it is stored."),
            filename=row.filename,
            status=words.status(row.status),
        )
    if row.deleted_at is not None:
        return sentence(
            gettext_noop("{filename} was deleted, {clock}, and is in no store any more."),
            filename=row.filename,
            clock=figures.Moment.of(row.deleted_at),
        )
    return None


def to_fetching(row: BackupHistory) -> Sentence | None:
    """Why this site does not hand out its dump."""
    environment = conf.current().environment
    if row.environment != environment:
        return sentence(
            gettext_noop("{filename} is of the environment {environment}. Download it from its own site."),
            filename=row.filename,
            environment=row.environment,
        )
    if (why := to_using(row)) is None and row.missing_at is not None:
        return sentence(
            gettext_noop("No store has {filename} whole any more, and nobody here has deleted it. It was first missed: {clock}."),
            filename=row.filename,
            clock=figures.Moment.of(row.missing_at),
        )
    return why


def is_lost(row: BackupHistory) -> bool:
    """Whether no store has it any more, and nobody here has deleted it."""
    return row.missing_at is not None and to_using(row) is None


def require_usable(row: BackupHistory) -> None:
    """Raises RefusedError where there is nothing of it."""
    if (why := to_using(row)) is not None:
        raise RefusedError(why, hint=another())


def another() -> Sentence:
    """What to do then."""
    return sentence(gettext_noop("Choose one that has succeeded and is stored."))

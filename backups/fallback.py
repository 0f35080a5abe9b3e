"""What there is to fall back on where a backup is bad, was lost, or was not made: told alike by alerts, pages and the API."""

from django.utils import timezone

from backups import words
from backups.models import BackupHistory, BackupType
from backups.sentences import Sentence, joined
from backups.sentences import sentence as _

AGAIN = _("Where the bucket keeps versions, what is lost can be had again, then: icb db sync")


def instead_of(row: BackupHistory) -> BackupHistory | None:
    """The newest other backup of the same database that nothing speaks against: of the verified, else of any. One that was made
    before a restore holds what was to be replaced, and is none. Raises what Django's database does.
    """
    rows = BackupHistory.objects.succeeded().of_environment(row.environment).newest_first()
    rows = rows.filter(database=row.database, missing_at=None, bad_at=None).exclude(pk=row.pk)
    rows = rows.exclude(backup_type=BackupType.PRE_RESTORE)
    if row.system_identifier:  # of a run that came to no connection it is not known
        rows = rows.filter(system_identifier=row.system_identifier)
    rows = rows.defer("table_snapshot", "applied_migrations", "extensions", "warnings")
    return rows.filter(verified_at__isnull=False).first() or rows.first()


def where_lost(row: BackupHistory) -> Sentence:
    """What to do where no store has a backup: which one to turn to, how it may come back. Raises as `instead_of`."""
    other = instead_of(row)
    if other is None:
        turn = _(
            "The history knows no other good one of {database}; icb db list shows what the stores have.", database=row.database
        )
    elif other.verified_at is not None:
        age = words.age(other.verified_at, now=timezone.now())
        turn = _("Turn to {filename}, verified {age}.", filename=other.filename, age=age)
    else:
        age = words.age(other.created_at, now=timezone.now())
        turn = _("Turn to {filename}, made {age} and never verified.", filename=other.filename, age=age)
    return joined(" ", (turn, AGAIN))

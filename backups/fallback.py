"""What there is to fall back on where a backup is bad, or was not made: told alike by alerts and pages."""

from backups.models import BackupHistory, BackupType


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

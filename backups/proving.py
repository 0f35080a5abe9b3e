"""Proves every backup that no restore has proven yet: what the schedule does each week."""

import logging

from django.db import Error as DatabaseError
from django.db import connections
from django.db.models import Q

from backups import audit, catalog, conf, history
from backups.audit import Outcome
from backups.exceptions import BackupsError, CancelledError, ConfigurationError, HistoryError
from backups.models import BackupHistory, BackupRestore
from backups.postgres.named_lock import named_lock
from backups.verify import BackupVerification, is_good

logger = logging.getLogger(__name__)


def prove_unverified() -> list[BackupRestore]:
    """Verifies those of every database that the settings name, the newest first; returns what was found, and the audit has it.

    One that can't be tried holds up no other. Raises RunningError while another process is at it, CancelledError, and
    HistoryError and ConnectError where the history is away.
    """
    found: list[BackupRestore] = []
    with named_lock(history.server(), f"verify:{conf.current().environment}"):
        for alias in connections:
            for filename in _unverified(alias):
                try:
                    found.append(BackupVerification(filename=filename, database=alias).run())
                    _note(filename, Outcome.DONE if is_good(found[-1]) else Outcome.FAILED, str(found[-1].verdict))
                except (CancelledError, HistoryError):
                    raise
                except BackupsError as error:
                    _note(filename, Outcome.FAILED, str(error))
                    logger.warning("%s could not be verified. %s", filename, error)
    return found


def unverified(*, environment: str = "", database: str = "default") -> list[str]:
    """Filenames of whole backups of that database that no restore has proven yet, newest first: of its own cluster where there
    are any of it, else of every cluster that had a database of that name. Raises HistoryError.
    """
    server = conf.server(database)
    rows = BackupHistory.objects.of_environment(environment or conf.current().environment).succeeded()
    rows = rows.filter(database=server.database, missing_at__isnull=True)
    unproven = Q(verified_at__isnull=True) | Q(bad_at__isnull=False)  # a verdict can be wrong: the bad are tried again
    try:
        ours = rows.filter(system_identifier=catalog.cluster_of(server) or "")
        wanted = (ours if ours.exists() else rows).filter(unproven).newest_first()
        return list(wanted.values_list("filename", flat=True))
    except DatabaseError as error:
        raise history.unreachable(error) from error


def _note(filename: str, outcome: Outcome, detail: str) -> None:
    audit.note(action="verify", object=filename, outcome=outcome, detail=detail, by=audit.By.of_schedule())


def _unverified(alias: str) -> list[str]:
    try:
        return unverified(database=alias)
    except ConfigurationError:  # a database that is none of PostgreSQL's has no backups
        return []

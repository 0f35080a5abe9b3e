"""Onto which databases this site restores by the web: those that RESTORE_TARGETS names, also where something is undone."""

from backups import catalog, conf
from backups.exceptions import RefusedError, TargetNotAllowedError
from backups.kept import kept_of
from backups.models import BackupRestore, RestorePurpose
from backups.postgres.swap import Kept
from backups.sentences import sentence as _
from backups.types import Server


def allowed(alias: str) -> Server:
    """That of an alias which the settings name. Raises TargetNotAllowedError, and ConfigurationError."""
    if alias not in conf.current().restore_targets:
        raise _not_allowed(_("This site restores nothing onto {alias} by the web.", alias=alias))
    return conf.server(alias)


def of_restore(row: BackupRestore) -> Server:
    """The allowed target that a restore went onto, and on which something is kept of it: the same database of the same cluster.

    Raises RefusedError, TargetNotAllowedError, and ConnectError.
    """
    if row.purpose != RestorePurpose.RESTORE or not row.kept_database:
        raise RefusedError(
            _("Nothing is kept of what this restore has replaced, so there is nothing to go back to."),
            hint=_("A backup from before it brings that back, where there is one: icb db list"),
        )
    return _went_onto(row)


def brought_by(row: BackupRestore) -> tuple[Server, Kept] | None:
    """The target, and what a restore that was undone had brought, as long as it is kept beside it; None where it is not.

    Raises TargetNotAllowedError, and as `kept_of` does.
    """
    target = _went_onto(row)
    found = (one for one in kept_of(target) if one.kind == "undone" and one.restore_id == str(row.id))
    kept = next(found, None)
    return None if kept is None else (target, kept)


def _went_onto(row: BackupRestore) -> Server:
    for alias in conf.current().restore_targets:
        server = conf.server(alias)
        if server.database == row.target_database and catalog.cluster_of(server) == row.target_system_identifier:
            return server
    raise _not_allowed(_("This site undoes nothing in {target_database} by the web.", target_database=row.target_database))


def _not_allowed(message: str) -> TargetNotAllowedError:
    return TargetNotAllowedError(
        message, hint=_("BACKUPS_RESTORE_TARGETS names the aliases that it may. Any other target: icb db restore")
    )

"""What changed between two backups, or between one and the live database: by their snapshots alone, nothing is downloaded."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connections
from django.utils import timezone

from backups import catalog, conf
from backups.changes import Changes, compare
from backups.exceptions import BackupsError, LockTimeoutError, UnreadableError, UsageError
from backups.postgres import snapshot
from backups.postgres.connect import connected
from backups.postgres.privileges import require_everything_readable
from backups.types import Server, Snapshot

LIVE = "live"
LOCK_TIMEOUT_SECONDS = 5  # nobody waits long for an answer that he can have again in a minute


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two: a backup, or a database as it is now. `name` is the backup's filename, or "live"."""

    name: str
    database: str
    environment: str
    at: datetime
    snapshot: Snapshot


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What is different in `after`. `remarks` say what makes the two hard to compare."""

    before: Side
    after: Side
    changes: Changes
    remarks: tuple[str, ...] = ()


def difference(
    before: str, after: str = LIVE, *, database: str = "default", environment: str = "", fingerprints: bool = False
) -> Difference:
    """Compares two backups, each named as `catalog.find` takes it, or one with "live": the database of that alias as it is now.

    The live database is only read, in one transaction, as a backup reads it: every table once, while others go on reading and
    writing; TRUNCATE and ALTER TABLE wait until it is done. With `fingerprints` every row is hashed as well, so that a change
    shows where the rows are as many as in a backup that has fingerprints.

    Raises what `catalog.find` does, ConnectError, UnreadableError and LockTimeoutError.
    """
    server = conf.server(database)
    if before == after == LIVE:
        raise UsageError("Both sides are the live database.", hint="Name a backup: icb db diff latest")
    # The backups first: a name that does not exist is said at once, and the live side is as new as it can be.
    found = {name: _backup(name, server, environment) for name in (before, after) if name != LIVE}
    if LIVE in (before, after):
        found[LIVE] = _live(server, fingerprints=fingerprints)
    old, new = found[before], found[after]
    return Difference(before=old, after=new, changes=compare(old.snapshot, new.snapshot), remarks=_remarks(old, new))


def _backup(wanted: str, server: Server, environment: str) -> Side:
    found = catalog.find(wanted, environment=environment or conf.current().environment, database=server.database, server=server)
    manifest = found.manifest
    return Side(
        name=manifest.filename,
        database=manifest.database,
        environment=manifest.environment,
        at=manifest.started_at,
        snapshot=manifest.snapshot,
    )


def _live(server: Server, *, fingerprints: bool) -> Side:
    """The database as it is now, seen as a backup would see it."""
    try:
        with connected(server, application_name="diff") as connection:
            require_everything_readable(connection)
        at = timezone.now()
        with snapshot.exported(server, run_id=LIVE, doing="diff", lock_timeout_seconds=LOCK_TIMEOUT_SECONDS) as opened:
            seen = snapshot.describe(opened, fingerprints=fingerprints)
    except UnreadableError as error:
        raise UnreadableError(
            "Not everything in the live database can be read, so it can't be compared, and can't be backed up either.",
            detail=error.detail,
            hint="Let a superuser run the statements above.",
        ) from error
    except LockTimeoutError as error:
        raise LockTimeoutError(
            f"A table of the live database is locked by another session; this waited {LOCK_TIMEOUT_SECONDS} seconds.",
            detail=error.detail,
            hint=error.hint,
        ) from error
    return Side(name=LIVE, database=server.database, environment=conf.current().environment, at=at, snapshot=seen)


def _remarks(before: Side, after: Side) -> tuple[str, ...]:
    remarks = []
    if before.database != after.database:
        remarks.append(f"These are two databases: {before.database} and {after.database}.{_advice(before, after)}")
    if before.environment != after.environment:
        remarks.append(f"They are of two environments: {before.environment} and {after.environment}.")
    one, other = before.snapshot.system_identifier, after.snapshot.system_identifier
    if one and other and one != other:
        remarks.append("They are of two servers, by the identity of their clusters.")
    if before.at > after.at:
        remarks.append("The first is the younger one: what is called gone was added, and what has shrunk has grown.")
    return tuple(remarks)


def _advice(before: Side, after: Side) -> str:
    """The alias with which the live side would be of the backup's database."""
    if LIVE not in (before.name, after.name):
        return ""
    wanted = before.database if after.name == LIVE else after.database
    alias = next((alias for alias in connections if _database_of(alias) == wanted), None)
    return f" For the live {wanted}: --database {alias}" if alias else ""


def _database_of(alias: str) -> str:
    try:
        return conf.server(alias).database
    except BackupsError:
        return ""

"""What the target, the program and this machine may have against a restore, a check each. A check never changes anything."""

import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from backups import catalog, migration_verdict, words
from backups.damage import Damage
from backups.exceptions import BackupsError, ClientProgramError
from backups.plan.nouns import Check, Choices, HistoryPlace, Level, Source
from backups.postgres.connect import quoted
from backups.postgres.programs import ClientProgram, choose_pg_restore, major_of, warning_of
from backups.postgres.target import Database, Target
from backups.sentences import sentence as _
from backups.types import Manifest, Server

PRODUCTION = "production"
FOREIGN = Check(
    Level.WARN,
    _("The archive has no manifest of ours: nothing tells what it should hold, so nothing can be compared."),
    hint=_("An archive runs SQL of its author's choice when it is restored."),
)


def of_proof(bad_at: datetime | None, *, filename: str) -> Iterable[Check]:
    """What verifications and restores have found."""
    if bad_at is not None:
        yield Check(
            Level.WARN,
            _("This backup was found bad, {bad_at} UTC.", bad_at=f"{bad_at:%Y-%m-%d %H:%M}"),
            hint=_(
                "What is wrong with it is told by: icb db verify {filename}\nThose that are verified: icb db list",
                filename=filename,
            ),
        )


def of_copies(source: Source, damage: Damage | None) -> Iterable[Check]:
    """Which copies are known to be damaged, and which one will be read first."""
    if damage is None or source.manifest is None:
        return
    said = _("A copy is known to be damaged or gone. {location} is read first.", location=source.location)
    if source.location in damage.places:
        said = _("The only copy that is left is known to be damaged: {location}", location=source.location)
    yield Check(
        Level.WARN,
        said,
        detail="\n".join(damage.places),
        hint=_(
            "Its bytes are proven before pg_restore is given them. How a copy is replaced is told by: "
            "icb db verify {filename} --level stored",
            filename=source.manifest.filename,
        ),
    )


def of_match(manifest: Manifest, target: Server, there: Target, *, choices: Choices, history: HistoryPlace) -> Iterable[Check]:
    """Whether the backup belongs onto this target at all."""
    if manifest.database == target.database or there.is_empty or choices.into_schema:
        return
    told = _(
        "The backup is of the database {database}; the target is {onto}.",
        database=manifest.database,
        onto=target.database,
    )
    verdict = verdict_of(manifest)
    if history is HistoryPlace.TARGET and verdict is not None and not verdict.is_ours:
        yield Check(
            Level.BLOCK,
            _(
                "{told} {database} is the site's own database, and the backup has nothing of this site.",
                told=told,
                database=target.database,
            ),
            hint=_("Restore it into a database of its own: --target-dbname NEW_NAME"),
        )
    else:
        yield Check(Level.WARN, told)


def of_program(manifest: Manifest | None, there: Target, folders: Sequence[str]) -> tuple[ClientProgram | None, Check]:
    """Which pg_restore, and whether there is one."""
    archive_major = major_of(manifest.pg_dump_version) if manifest else there.server_major
    try:
        program = choose_pg_restore(archive_major=archive_major, target_major=there.server_major, folders=folders)
    except ClientProgramError as error:
        return None, Check(Level.BLOCK, error.message, error.detail, error.hint)
    if warning := warning_of(program):
        return program, Check(Level.WARN, warning)
    return program, Check(Level.OK, _("pg_restore {version} fits the backup and the server.", version=program.version))


def of_target(target: Server, there: Target, *, choices: Choices, environment: str) -> Iterable[Check]:
    """What the server and the database that is there allow."""
    place = f"{target.host}:{target.port}"
    if there.is_standby:
        yield Check(
            Level.BLOCK,
            _("The server {place} is a standby: nothing can be written to it.", place=place),
            hint=_("Name its primary."),
        )
    yield from of_environment(target, there, environment)
    found = there.database
    in_place = choices.in_place or bool(choices.into_schema)
    if not there.may_create and not choices.in_place:
        yield Check(
            Level.BLOCK,
            _(
                "The role {user} may not create a database on {place}, so nothing could be proven before it is touched.",
                user=target.user,
                place=place,
            ),
            hint=_(
                "Let a superuser run: ALTER ROLE {user} CREATEDB. Or restore in place, all or nothing: --in-place",
                user=quoted(target.user),
            ),
        )
    elif found is not None and not found.may_rename and not in_place:
        yield Check(
            Level.BLOCK,
            _(
                "The role {user} may not rename {database}: it belongs to {owner}.",
                user=target.user,
                database=target.database,
                owner=found.owner,
            ),
            hint=_(
                "Restore as {owner}; or let a superuser run: GRANT {role} TO {user}.",
                owner=found.owner,
                role=quoted(found.owner),
                user=quoted(target.user),
            ),
        )
    if choices.in_place and found is None:
        yield Check(
            Level.BLOCK,
            _("There is no database {database} on {place}.", database=target.database, place=place),
            hint=_("Leave out --in-place."),
        )
    if choices.into_schema and found is None:
        yield Check(
            Level.BLOCK,
            _("There is no database {database} on {place}.", database=target.database, place=place),
            hint=_("Leave out --into-schema."),
        )
    if choices.tables and not choices.into_schema and not there.is_empty:
        yield Check(
            Level.BLOCK,
            _("{database} is not empty: single tables are never restored over live ones.", database=target.database),
            hint=_("Restore them beside the live ones: --into-schema NAME; or into a new database: --target-dbname NAME"),
        )
    if found is not None:
        yield from _checks_of_what_is_there(found, target.database, choices=choices)


def _checks_of_what_is_there(found: Database, name: str, *, choices: Choices) -> Iterable[Check]:
    if found.prepared and not choices.in_place and not choices.into_schema:
        yield Check(
            Level.BLOCK,
            _(
                "A prepared transaction on {name} keeps it from being renamed: {prepared}.",
                name=name,
                prepared=", ".join(found.prepared),
            ),
            hint=_("COMMIT PREPARED or ROLLBACK PREPARED it."),
        )
    if found.slots and not choices.in_place and not choices.into_schema:
        yield Check(
            Level.WARN,
            _("Logical replication stays with what is replaced: {slots}.", slots=", ".join(found.slots)),
            hint=_("Its subscribers get nothing from the restored database until their slots are made anew there."),
        )
    # pg_restore --clean drops the key of each partition by itself, which PostgreSQL refuses.
    if found.has_partitioned_keys and choices.in_place:
        yield Check(
            Level.BLOCK,
            _("{name} has a partitioned table with a key: pg_restore can't replace it in place.", name=name),
            hint=_("Restore without --in-place, as a role that may create databases."),
        )


def of_environment(target: Server, there: Target, environment: str) -> Iterable[Check]:
    """Nobody touches production from a laptop, whatever name was typed."""
    if environment == PRODUCTION or there.database is None:
        return
    if not there.system_identifier:
        yield Check(
            Level.WARN,
            _(
                "The server does not tell its identity, so whether {database} is production is not certain.",
                database=target.database,
            ),
        )
    is_production = PRODUCTION in there.database.environments or catalog.is_database_of(
        PRODUCTION, system_identifier=there.system_identifier, database=target.database
    )
    if is_production:
        yield Check(
            Level.BLOCK,
            _("{address} is production, and this process is {environment}.", address=target.address, environment=environment),
            detail=_("Backups of the environment production were made of this very database."),
            hint=_("Do it from the production site itself, or take another database: --target-dbname NEW_NAME"),
        )


def of_scratch(scratch: Path, size_bytes: int, *, already_here: bool) -> Check:
    """Whether the archive fits where it is kept while it is loaded."""
    base = next(folder for folder in (scratch, *scratch.parents) if folder.exists())
    free = shutil.disk_usage(base).free
    if already_here:
        return Check(Level.OK, _("The archive is on this machine."))
    if free < size_bytes:
        return Check(
            Level.BLOCK,
            _(
                "There is not enough room in {scratch} for the backup's {size_bytes} bytes; {free} are free.",
                scratch=scratch,
                size_bytes=f"{size_bytes:,}",
                free=f"{free:,}",
            ),
            hint=_("Make room, or name another folder in BACKUPS_SCRATCH_FOLDER."),
        )
    return Check(
        Level.OK,
        _("Room for the download: {free} free, {size_bytes} needed.", free=words.size(free), size_bytes=words.size(size_bytes)),
    )


def verdict_of(manifest: Manifest) -> migration_verdict.MigrationVerdict | None:
    """How the migrations of the backup fit this code; None where this code's can't be read: no reason not to restore."""
    try:
        return migration_verdict.verdict(manifest.snapshot.migrations, application_version=manifest.application_version)
    except BackupsError:
        return None

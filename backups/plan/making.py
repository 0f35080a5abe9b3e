"""Makes the plan: asks the target, the history and the catalogue; changes nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median

from django.db import Error as DatabaseError
from django.db import transaction

from backups import conf, damage, history
from backups.catalog import Found
from backups.damage import Damage
from backups.exceptions import BackupsError
from backups.models import BackupHistory, BackupRestore, RestoreMode, RestorePurpose, Status
from backups.models import Level as Proof
from backups.plan import checks, needs
from backups.plan.nouns import Choices, HistoryPlace, Plan, Source
from backups.postgres import target as at_target
from backups.postgres.connect import connect, located
from backups.postgres.databases import maintenance, require_possible_name
from backups.postgres.target import Target
from backups.types import Manifest, Server

MEASURED = 10  # restores that an estimate looks back on
COMPARABLE = 10  # times as large or as small: what a restore costs beside its bytes would be scaled with them


def make_plan(
    source: Source, target: Server, *, choices: Choices, environment: str, scratch: Path, client_folders: Sequence[str]
) -> Plan:
    """Looks at everything. Raises ConnectError when the target's server can't be reached; what is against it is in the plan."""
    require_possible_name(target.database)
    with connect(maintenance(target), application_name=at_target.APPLICATION) as connection:
        target = located(target, connection)
    there = at_target.examine(target)
    manifest = source.manifest
    known = _damage_of(source)
    source = _good_first(source, known)
    program, program_check = checks.of_program(manifest, there, client_folders)
    size_bytes = manifest.size_bytes if manifest else source.path.stat().st_size  # type: ignore[union-attr]
    is_whole = not (choices.tables or choices.schema_only)
    seconds, measured = _expected(size_bytes, target) if is_whole else (None, 0)
    place = place_of_history(target, there)
    restored_at, verified_at, bad_at = _proof_of(manifest)
    return Plan(
        source=source,
        target=target,
        there=there,
        choices=choices,
        program=program,
        checks=(
            *checks.of_proof(bad_at, filename=manifest.filename if manifest else ""),
            *checks.of_copies(source, known),
            *(checks.of_match(manifest, target, there, choices=choices, history=place) if manifest else [checks.FOREIGN]),
            *checks.of_target(target, there, choices=choices, environment=environment),
            *(needs.of_backup(manifest, target, there, choices=choices, client_folders=client_folders) if manifest else []),
            checks.of_scratch(scratch, size_bytes, already_here=manifest is None),
            program_check,
        ),
        asks_neutralize=bool(manifest and manifest.environment == checks.PRODUCTION != environment and not choices.into_schema),
        restored_at=restored_at,
        verified_at=verified_at,
        expected_seconds=seconds,
        measured_restores=measured,
        size_bytes=size_bytes,
        history=place,
        keep_replaced_days=conf.current().keep_replaced_days,
    )


def place_of_history(target: Server, there: Target) -> HistoryPlace:
    """Whether the history lies in the target, or lay there until the database was lost."""
    ours = history.server()
    if ours.database != target.database:
        return HistoryPlace.ELSEWHERE
    try:
        identifier, oid = at_target.identity(ours)
    except BackupsError:  # its server can't be reached, so it is not the one that was
        return HistoryPlace.ELSEWHERE
    found = there.database.oid if there.database else None
    # Some hosted servers hide their identifier. Then two servers are the same that are called the same.
    if (identifier, oid) != (there.system_identifier, found) or not (identifier or ours.host == target.host):
        return HistoryPlace.ELSEWHERE
    return HistoryPlace.LOST if found is None else HistoryPlace.TARGET


def _proof_of(manifest: Manifest | None) -> tuple[datetime | None, datetime | None, datetime | None]:
    """When this very backup was last restored whole, verified, and found bad, as far as the history tells."""
    if manifest is None:
        return None, None, None
    whole = (RestoreMode.SWAP, RestoreMode.IN_PLACE)
    rows = BackupRestore.objects.filter(backup_id=manifest.id, status=Status.SUCCEEDED, purpose=RestorePurpose.RESTORE)
    try:
        with transaction.atomic():
            restored_at = rows.filter(mode__in=whole).order_by("-finished_at").values_list("finished_at", flat=True).first()
            found = BackupHistory.objects.filter(id=manifest.id).values_list("verified_at", "bad_at").first()
    except DatabaseError:
        return None, None, None
    return restored_at, *(found or (None, None))


def _damage_of(source: Source) -> Damage | None:
    """What is known of copies in stores, as far as the history tells."""
    if not isinstance(source, Found):
        return None
    try:
        with transaction.atomic():
            return damage.of_backup(source.manifest.id)
    except DatabaseError:
        return None


def _good_first(source: Source, known: Damage | None) -> Source:
    """The copy that is read first is none whose dump is known to be damaged, if there is another; none is left out."""
    if known is None or not isinstance(source, Found):
        return source
    first, *others = sorted(source.copies(), key=lambda copy: copy.location in known.places)
    return replace(source, store=first.store, others=tuple(copy.store for copy in others))


def _expected(size_bytes: int, target: Server) -> tuple[float | None, int]:
    """Seconds, by the median pace of the newest restores of that order of size: to the same server where there are any, else to
    any. A verification is one that was not put in place; it took a little longer, and counts where no other was measured.
    """
    rows = BackupRestore.objects.filter(
        status=Status.SUCCEEDED,
        mode=RestoreMode.SWAP,
        size_bytes__range=(size_bytes // COMPARABLE, size_bytes * COMPARABLE),
        duration_seconds__gt=0,
    ).order_by("-finished_at")
    restores = rows.filter(purpose=RestorePurpose.RESTORE)
    verifications = rows.filter(purpose=RestorePurpose.VERIFICATION, level=Proof.RESTORED)
    found: list[tuple[int | None, float | None]] = []
    try:
        with transaction.atomic():
            for measured in (restores, verifications):
                for some in (measured.filter(target_host=target.host), measured):
                    found = found or list(some.values_list("size_bytes", "duration_seconds")[:MEASURED])
    except DatabaseError:
        return None, 0
    if not found:
        return None, 0
    return size_bytes * median(float(seconds or 0) / int(size or 1) for size, seconds in found), len(found)

"""What every way onto a target is given, and what all of them do."""

from dataclasses import dataclass, replace
from pathlib import Path

from backups.plan import Plan
from backups.postgres import roles
from backups.postgres.compare import Comparison, compare
from backups.postgres.programs import ClientProgram
from backups.types import OnProgress, Progress, Server, Snapshot


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every way is given. `folder` is the run's own scratch folder, `safety_backup` the filename of what was backed up of
    the target just before, if that was done.
    """

    plan: Plan
    archive: Path
    folder: Path
    run_id: str
    safety_backup: str
    on_progress: OnProgress

    @property
    def program(self) -> ClientProgram:
        """pg_restore; a plan without one is not carried out."""
        assert self.plan.program is not None
        return self.plan.program

    def tell(self, phase: str) -> None:
        """The phase that begins."""
        self.on_progress(Progress(phase=phase))


def make_stand_ins(plan: Plan) -> None:
    """Makes the missing roles for which others act, as was chosen. Raises RefusedError."""
    for old, new in plan.choices.map_roles:
        roles.stand_in(plan.target, role=old, by=new)


def compared(work: Work, loaded: Server, *, tables: tuple[tuple[str, str], ...] = (), only: bool = False) -> Comparison | None:
    """Holds what was loaded against the manifest; None where there is none.

    With `only`, what else is in the loaded database does not matter.
    """
    expected = _expected(work.plan, tables)
    if expected is None:
        return None
    work.tell("comparing")
    return compare(
        loaded,
        expected,
        tables=tables if only else None,
        on_table=lambda name, done, total: work.on_progress(
            Progress(phase="comparing", table=name, done_bytes=done, total_bytes=total)
        ),
    )


def _expected(plan: Plan, chosen: tuple[tuple[str, str], ...]) -> Snapshot | None:
    """What the loaded database should hold: the chosen tables, without rows where only definitions were asked for."""
    snapshot = plan.snapshot
    if snapshot is None:
        return None
    tables = snapshot.tables
    if chosen:
        tables = tuple(table for table in tables if (table.schema, table.table) in chosen)
    if plan.choices.schema_only:
        tables = tuple(replace(table, rows=0, fingerprint="") for table in tables)
    return replace(snapshot, tables=tables)

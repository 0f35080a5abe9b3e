"""The way back from a restore: the database that was replaced takes its name again, or is let go of at last."""

from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.utils import timezone

from backups import carry_over, conf, history, interrupts, next_command
from backups.exceptions import BackupNotFoundError, BackupsError, HistoryError, RefusedError
from backups.fetching import scratch
from backups.kept import drop_kept, kept_of
from backups.models import BackupRestore, Status
from backups.plan import HistoryPlace, Level, of_environment, place_of_history
from backups.postgres import swap
from backups.postgres import target as at_target
from backups.postgres.swap import Kept
from backups.sentences import sentence as _
from backups.types import Server


class RestoreUndo:
    """Swaps the newest database that a restore has replaced back into its place; or the kept one that is called `kept`.

    What is there now stays, too, as `<name>_undone_<time>`. `confirm` is the target's name, typed.
    """

    def __init__(self, *, target: Server, kept: str = "", confirm: str = "") -> None:
        self.target = target
        self.kept = kept
        self.confirm = confirm
        self.problems: list[str] = []

    def find(self) -> Kept:
        """What would come back. Raises BackupNotFoundError where nothing was kept."""
        kept = kept_of(self.target)
        # What was undone does not come back unless it is named: a second undo goes on to the restore before.
        found = [one for one in kept if (one.database == self.kept if self.kept else one.kind == "before")]
        if not found:
            raise _nothing_kept(self.target, self.kept, kept)
        return found[0]

    def run(self) -> swap.Swapped:
        """Swaps back, within a second. Raises RefusedError, BackupNotFoundError, PostgresError; then nothing has changed but that
        the history of the kept database may have got newer rows.
        """
        kept = self.find()
        if self.confirm != self.target.database:
            raise RefusedError(
                self._not_named(kept),
                hint=_("Say its name: {command}", command=next_command.undo(self.target, kept=self.kept)),
            )
        _require_ours(self.target, kept)
        place = place_of_history(self.target, at_target.examine(self.target))
        base = conf.current().scratch_folder or Path(gettempdir())
        with scratch(base / f"icb-undo-{uuid4()}") as folder:
            if place is HistoryPlace.TARGET:
                self._carry(self.target, replace(self.target, database=kept.database), folder, in_use=False)
            with interrupts.held():
                swapped = swap.undo(self.target, kept, at=timezone.now())
                if place is not HistoryPlace.ELSEWHERE:
                    history.reconnect()
                self._remember(kept, swapped)
            if place is HistoryPlace.TARGET and swapped.kept:
                self._carry(replace(self.target, database=swapped.kept), self.target, folder, in_use=True)
                self._remember(kept, swapped)
        return swapped

    def _not_named(self, kept: Kept) -> str:
        of = {"kept": kept.database, "database": self.target.database}
        if not self.confirm:
            return _("Undoing puts {kept} in the place of {database}, whose name was not given. Nothing was touched.", **of)
        return _(
            "Undoing puts {kept} in the place of {database}, whose name was given as {given}. Nothing was touched.",
            given=self.confirm,
            **of,
        )

    def _carry(self, from_: Server, to: Server, folder: Path, *, in_use: bool) -> None:
        try:
            captured = carry_over.capture(from_, folder=folder)
            in_use = in_use or bool(captured.problem)  # a history that can't be read does not tell who is alive
            self.problems += carry_over.apply(to, captured, own=None, restored=None, in_use=in_use)
        except BackupsError as error:
            self.problems.append(str(error))

    def _remember(self, kept: Kept, swapped: swap.Swapped) -> None:
        rows = BackupRestore.objects.filter(id=kept.restore_id)
        try:
            # In the history of the database that it replaced, it was under way then, and nobody has told since.
            rows.filter(status=Status.RUNNING).update(status=Status.SUCCEEDED, finished_at=kept.kept_at)
            if kept.kind == "before":
                rows.update(undone_at=timezone.now(), kept_database="")
            else:
                history.note_kept(kept.restore_id, since=swapped.at)
                rows.update(undone_at=None, kept_database=swapped.kept or "")
        except HistoryError as error:
            self.problems.append(str(error))
        except (DatabaseError, ValidationError) as error:  # a mark may name a restore that is none of ours
            self.problems.append(str(history.unreachable(error)))


def discard(target: Server, *, confirm: str) -> tuple[Kept, ...]:
    """Drops every database that was kept when `target` was replaced or undone; returns them. Raises as RestoreUndo does.

    An empty `confirm` is refused with all that would be dropped.
    """
    found = kept_of(target)
    if not found:
        place = f"{target.database} on {target.host}:{target.port}"
        raise BackupNotFoundError(_("No database was kept from a restore of {place}: there is nothing to discard.", place=place))
    if confirm != target.database:
        names = ", ".join(one.database for one in found)
        raise RefusedError(
            _(
                "{names} would be dropped for good, and {database} was not named. Nothing was touched.",
                names=names,
                database=target.database,
            ),
            hint=_("Say its name: {command}", command=next_command.discard(target)),
        )
    _require_ours(target, *found)
    drop_kept(target, found)
    return found


def _require_ours(target: Server, *kept: Kept) -> None:
    """Nobody swaps or drops production from a laptop, whatever name was typed. What was kept of it is production, too."""
    environment = conf.current().environment
    for database in (target.database, *(one.database for one in kept)):
        there = at_target.examine(replace(target, database=database))
        for check in of_environment(target, there, environment):
            if check.level is Level.BLOCK:
                raise RefusedError(_("{said} Nothing was touched.", said=check.text), detail=check.detail, hint=check.hint)


def _nothing_kept(target: Server, wanted: str, kept: tuple[Kept, ...]) -> BackupNotFoundError:
    place = f"{target.database} on {target.host}:{target.port}"
    if wanted:
        names = ", ".join(one.database for one in kept) or _("none")
        return BackupNotFoundError(
            _("No database {wanted} was kept from a restore of {place}.", wanted=wanted, place=place),
            detail=_("Kept are: {names}.", names=names),
            hint=_("Name one of them, or leave --kept out: then it is the newest."),
        )
    if kept:
        return BackupNotFoundError(
            _("Every restore of {place} that could be undone is undone.", place=place),
            hint=_(
                "What the last one had brought is kept; to put it in place: {command}",
                command=next_command.undo(target, kept=kept[0].database),
            ),
        )
    return BackupNotFoundError(
        _("No database was kept from a restore of {place}, so there is nothing to go back to.", place=place),
        hint=_("icb db list shows what was kept on the site's own server."),
    )

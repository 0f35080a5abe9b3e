"""Into the target itself, in one transaction."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from backups import carry_over, history, next_command
from backups.exceptions import BackupsError, LoadError, RefusedError
from backups.landing.work import Work, compared, make_stand_ins
from backups.plan import HistoryPlace
from backups.postgres import access_tables, in_place, parts, swap
from backups.postgres.compare import Comparison
from backups.postgres.connect import connected
from backups.postgres.load import load_archive
from backups.postgres.lock import end_sessions_of, run_lock
from backups.types import Server


class InPlace:
    """For servers where no database can be created: dropped and made again in a single transaction, all or nothing."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        self.loaded = work.plan.target
        self.lock = ExitStack()
        self._before: frozenset[int] | None = None

    def load(self) -> None:
        target, choices = self.plan.target, self.plan.choices
        self.lock.enter_context(run_lock(target, run_id=self.work.run_id, doing="restore"))
        self.plan.require_unchanged()
        self.work.tell("loading in place")
        make_stand_ins(self.plan)
        use_list = parts.list_in_place(
            self.work.archive,
            staying=in_place.containers(target) | self._depended_on(),
            without=self._left_alone(),
            folder=self.work.folder,
        )
        _require_gone(swap.end_sessions(target, but=self.work.run_id), target)
        history.reconnect()  # a session of ours may have been among them
        self._put_tokens_aside()
        self._before = in_place.generation(target)
        try:
            load_archive(
                self.work.program,
                target,
                archive=self.work.archive,
                run_id=self.work.run_id,
                single_transaction=True,
                clean=True,
                use_list=use_list,
                keep_owners=choices.keep_owners,
                keep_privileges=choices.keep_privileges,
                each_second=lambda: in_place.end_blockers(target, run_id=self.work.run_id),
            )
        except LoadError as error:
            if self._changed() is False:
                error.hint = (
                    f"It was one transaction: {target.database} is as it was. What is newer than the backup and depends on what"
                    " is in it may stand in the way; drop that first, or restore without --in-place, as a role that may create"
                    " databases."
                )
            raise

    def _changed(self) -> bool | None:
        """Whether the target has been loaded, as it says itself; None where it can't be asked."""
        self.lock.close()
        try:
            with connected(self.plan.target, application_name="restore: look") as connection:
                end_sessions_of(connection, run_id=self.work.run_id)  # one that is lost to us may still be committing
            return in_place.generation(self.plan.target) != self._before
        except BackupsError:
            return None

    def _left_alone(self) -> tuple[tuple[str, str], ...]:
        """The history, the audit and the incidents stay, where they lie here. Tokens do not: they go with their users."""
        ours = (carry_over.HISTORY, carry_over.RESTORES, carry_over.AUDIT, carry_over.INCIDENTS)
        return ours if self.plan.history is HistoryPlace.TARGET else ()

    def _depended_on(self) -> frozenset[tuple[str, str]]:
        """What can't be dropped while the audit stays."""
        return access_tables.OF_THE_AUDIT if carry_over.AUDIT in self._left_alone() else frozenset()

    def _put_tokens_aside(self) -> None:
        if self.plan.history is HistoryPlace.TARGET:
            with (
                self._tokens.open("w", encoding="utf-8") as file,
                connected(self.plan.target, application_name="restore: look") as c,
            ):
                access_tables.put_aside(c, carry_over.TOKENS, file)

    @property
    def _tokens(self) -> Path:
        return self.work.folder / "tokens.jsonl"

    def compare(self) -> Comparison | None:
        """Only what the backup has: tables that are newer stay, and so does the history."""
        snapshot = self.plan.snapshot
        names = tuple((table.schema, table.table) for table in snapshot.tables) if snapshot else ()
        names = tuple(name for name in names if name not in self._left_alone())
        return compared(self.work, self.loaded, tables=names, only=True)

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        return []

    def place(self) -> None:
        self.lock.close()

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        """What was revoked since the backup does not come back to life; and no token stays without its users."""
        if self.plan.history is not HistoryPlace.TARGET:
            return []
        with (
            self._tokens.open(encoding="utf-8") as file,
            connected(self.loaded, application_name="restore: history") as connection,
        ):
            return access_tables.revoke(connection, file)

    def clear(self) -> str:
        self.lock.close()
        if self._before is None:
            return ""
        target, backup = self.plan.target, self.work.safety_backup
        changed = self._changed()
        if changed is False:
            return ""
        told = f"{target.database} now holds what was loaded, not proven."
        if changed is None:
            told = f"{target.database} may hold what was loaded, not proven: it could not be asked."
        if not backup:
            return f"{told} What was there before was not backed up just before; icb db list shows what there is."
        return f"{told} What was there before comes back with: {next_command.restore_in_place(backup, target)}"


def _require_gone(left: Sequence[swap.Session], target: Server) -> None:
    if left:
        raise RefusedError(
            f"These sessions on {target.database} could not be sent away, and would hold the restore up. Nothing was touched.",
            detail="\n".join(map(str, left)),
            hint="End them, or restore as a role that may: a superuser, or a member of pg_signal_backend.",
        )

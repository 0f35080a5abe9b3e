"""Beside the target and then in its place: the way of every restore that may create databases."""

from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import Any

from django.utils import timezone

from backups import carry_over, catalog, conf, history
from backups.landing.staging import Staging
from backups.landing.work import Work, compared, make_stand_ins
from backups.plan import HistoryPlace
from backups.postgres import properties, swap
from backups.postgres import target as at_target
from backups.postgres.compare import Comparison
from backups.postgres.lock import run_lock
from backups.postgres.neutralize import neutralize


class Swapped:
    """Loaded beside the target, compared, and swapped in by two renames in one transaction."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        self.staging = Staging(work)
        self.loaded = self.staging.server
        self.lock = ExitStack()
        self._placed = ""
        self._captured: carry_over.Captured | None = None

    def load(self) -> None:
        if self.plan.there.database is not None:  # no backup is made of it while it is being replaced
            self.lock.enter_context(run_lock(self.plan.target, run_id=self.work.run_id, doing="restore"))
        self.plan.require_unchanged()
        make_stand_ins(self.plan)
        self.staging.make()
        self.staging.load()

    def compare(self) -> Comparison | None:
        return compared(self.work, self.loaded, tables=self.staging.tables)

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        self.plan.require_unchanged()
        told: list[str] = []
        choices = self.plan.choices
        if choices.neutralize:
            self.work.tell("neutralizing")
            told += neutralize(self.staging.server, statements=conf.current().neutralize_sql)
        told += self._carry_history(own_row)
        if self.plan.there.database is not None:
            properties.carry(self.plan.target, self.staging.server)
        return told

    def _carry_history(self, own_row: dict[str, Any]) -> list[str]:
        if self.plan.choices.tables or self.plan.choices.schema_only:
            return []
        self.work.tell("carrying the history over")
        if self.plan.history is HistoryPlace.ELSEWHERE:
            return carry_over.apply(self.loaded, None, own=None, restored=self.plan.manifest)
        told, known = [], frozenset[str]()
        if self.plan.history is HistoryPlace.TARGET:
            captured = carry_over.capture(self.plan.target, folder=self.work.folder)
            told += carry_over.apply(self.loaded, captured, own=own_row, restored=self.plan.manifest)
            known = history.filenames()
        # What the history that is replaced does not know, because it was made anew after a loss, the bucket does.
        manifests = catalog.manifests(but=known)
        if (first := next(manifests, None)) is not None:
            captured = carry_over.from_manifests(chain([first], manifests), folder=self.work.folder)
            own = None if self.plan.history is HistoryPlace.TARGET else own_row
            told += carry_over.apply(self.loaded, captured, own=own, restored=self.plan.manifest, in_use=own is None)
        return told

    def place(self) -> swap.Swapped | None:
        self.work.tell("swapping")
        self.plan.require_unchanged()
        self.lock.close()  # its session is on the database that is renamed
        found = self.plan.there.database
        swapped = swap.swap_in(
            self.staging.server,
            target=self.plan.target.database,
            expected_oid=found.oid if found else None,
            run_id=self.work.run_id,
            at=timezone.now(),
        )
        self.staging.exists = False
        self._placed = swapped.kept or ""
        if self.plan.history is not HistoryPlace.ELSEWHERE:
            history.reconnect()
        return None if self.plan.there.is_empty or swapped.kept is None else swapped

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        """Rows written to the history between carrying over and swap lie in the kept database, and nobody adds to it now."""
        if self._placed and self.plan.there.is_empty:
            return self._let_go_of_nothing()
        if not self._placed or self.plan.history is not HistoryPlace.TARGET:
            return []
        kept = replace(self.plan.target, database=self._placed)
        captured = carry_over.capture(kept, folder=self.work.folder)
        return carry_over.apply(self.plan.target, captured, own=own_row, restored=self.plan.manifest, in_use=True)

    def _let_go_of_nothing(self) -> list[str]:
        """The database that was replaced was empty: nobody needs it kept, unless somebody has used it in the meantime."""
        kept = next(kept for kept in swap.kept_copies(self.plan.target) if kept.database == self._placed)
        if not at_target.examine(replace(self.plan.target, database=kept.database)).is_empty:
            return [f"{kept.database} was empty when the restore began and is not any more, so it is kept."]
        swap.discard(self.plan.target, kept)
        return []

    def clear(self) -> str:
        self.lock.close()
        return self.staging.drop()

"""The story: BackupPruning looks at the shelf, lets the policy decide, and takes away what is obsolete, the oldest first."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.utils import timezone

from backups import conf, history, stores, words
from backups.exceptions import BackupsError, CancelledError, ManifestError, RunningError, StorageError
from backups.postgres import named_lock
from backups.postgres.connect import Connection
from backups.prune import deleting
from backups.prune.locks import lock_on, locked
from backups.prune.restoring import in_use
from backups.prune.rules import has_rules, policy
from backups.prune.shelf import Leftover, Shelf, Standing, look, remembered
from backups.retention import STOPPED, Candidate, Decision, Policy, decide
from backups.sentences import Sentence
from backups.sentences import sentence as _
from backups.storage.object_lock import ObjectLock, may_lock

SPACING = timedelta(hours=20)  # between two prunes of one database: else a loop would take, share by share, what is left
READERS = 8
GIVES_UP_AFTER = 3  # deletions in a row that failed: the store is away, and each takes its time


class Fate(StrEnum):
    """What becomes of a backup; OBSOLETE is what a run would delete."""

    KEEP = "keep"
    OBSOLETE = "obsolete"
    DELETED = "deleted"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One backup with its fate, and every reason for it."""

    candidate: Candidate
    fate: Fate
    reasons: tuple[str, ...]


@dataclass(kw_only=True)
class Pruning:
    """What a prune has done, or would do. `backups` are newest first; `finished` are filenames of which a prune that died had
    left something, `unfinished` says what is still left of others, and why; `left_alone` what only looks like a backup. What
    `is_by_history` was held against no store.
    """

    policy: Policy
    is_dry_run: bool
    is_by_history: bool = False
    backups: list[Judged] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)

    def of(self, fate: Fate) -> list[Judged]:
        """Those with that fate."""
        return [one for one in self.backups if one.fate == fate]

    @property
    def stopped_by(self) -> list[Sentence]:
        """Why nothing of a database may go, although no rule keeps all of it; with its name. Empty where no rule is set."""
        if not has_rules(self.policy):
            return []
        wanted = [one for one in self.of(Fate.KEEP) if all(why.endswith(STOPPED) for why in one.reasons)]
        stops = {(one.candidate.database, one.candidate.cluster, why) for one in wanted for why in one.reasons}
        clusters = Counter(
            database for database, _cluster in {(one.candidate.database, one.candidate.cluster) for one in self.backups}
        )
        return [
            _("{database} of cluster {cluster}: {why}", database=database, cluster=cluster or _("unknown"), why=why)
            if clusters[database] > 1
            else _("{database}: {why}", database=database, why=why)
            for database, cluster, why in sorted(stops)
        ]

    @property
    def has_failed(self) -> bool:
        """Whether something should be gone and is not."""
        return bool(self.of(Fate.FAILED) or self.unfinished)


def _silent(_judged: Judged) -> None:
    """For a caller who doesn't look."""


class BackupPruning:
    """One prune of this environment. `spaced` False takes more although the last prune of a database is not SPACING ago.

    `on_judged` is told of each backup that is deleted, or can't be, at once.
    """

    def __init__(self, *, spaced: bool = True, on_judged: Callable[[Judged], None] = _silent) -> None:
        self.environment = conf.current().environment
        self.policy = policy()
        self.stores = stores.configured()
        self.spaced = spaced
        self.on_judged = on_judged
        self.lock = f"prune:{self.environment}"
        self._locks: dict[UUID, ObjectLock] = {}  # of what was about to go

    def plan(self, *, by_history: bool = False) -> Pruning:
        """What a run would do now. Changes nothing. `by_history` asks no store, for somebody who waits: it is what `remembered`
        knows, and nothing of locks. A run looks at all of it.

        Raises ConfigurationError, HistoryError and StorageError where it is not known what there is.
        """
        shelf = remembered(environment=self.environment) if by_history else look(self.stores, environment=self.environment)
        decisions = self._decide(shelf, by_history=by_history)
        pruning = Pruning(policy=self.policy, is_dry_run=True, is_by_history=by_history, left_alone=shelf.left_alone)
        pruning.backups = [_planned(decision) for decision in decisions]
        if has_rules(self.policy):
            pruning.finished = [one.row.filename for one in shelf.leftovers]
        return pruning

    def run(self) -> Pruning:
        """Deletes what is obsolete. What can't be deleted is told, and holds up nothing else.

        Raises as `plan` does before anything is touched; RunningError while another prune of this environment runs; and
        HistoryError, PostgresError and CancelledError in between, where it is not safe to go on, or not wanted.
        """
        if not has_rules(self.policy):
            return replace(self.plan(), is_dry_run=False)
        done = Pruning(policy=self.policy, is_dry_run=False)
        try:
            taken = _("A prune of the environment {environment} is running already.", environment=self.environment)
            with named_lock.named_lock(history.server(), self.lock, taken=taken) as session:
                self._run(session, done)
        except RunningError:
            raise  # nothing was touched
        except (BackupsError, KeyboardInterrupt) as error:
            raise _stopped(error, done).scrub(stores.secrets(history.server())) from error
        return done

    def _run(self, session: Connection, done: Pruning) -> None:
        shelf = look(self.stores, environment=self.environment)
        done.left_alone = shelf.left_alone
        decisions = self._decide(shelf)
        deleting.forget_notes(self.environment)
        self._finish(shelf.leftovers, done)
        standing = {one.candidate.id: one for one in shelf.standing}
        failed_in_a_row = 0
        for decision in reversed(decisions):
            one = standing[decision.candidate.id]
            if decision.is_kept:
                self._keep(one)
                judged = _planned(decision)
            elif failed_in_a_row >= GIVES_UP_AFTER:
                judged = replace(
                    _planned(decision), fate=Fate.FAILED, reasons=("not tried: the ones before it could not be deleted",)
                )
            else:
                named_lock.require_held(session, self.lock)
                judged = self._delete(one, decision)
                failed_in_a_row = failed_in_a_row + 1 if judged.fate == Fate.FAILED else 0
            done.backups.append(judged)
            if not decision.is_kept:
                self.on_judged(judged)
        done.backups.reverse()

    # What the policy says, and two things that it does not know of.

    def _decide(self, shelf: Shelf, *, by_history: bool = False) -> Sequence[Decision]:
        """Locks are asked for only of what would go; each that is found lets the policy decide again."""
        now, used = timezone.now(), in_use()
        candidates = {
            one.candidate.id: replace(one.candidate, is_in_use=used.has(id=one.candidate.id, filename=one.candidate.filename))
            for one in shelf.standing
        }
        standing = {one.candidate.id: one for one in shelf.standing}
        bucket_locks = not by_history and self.stores.s3 is not None and has_rules(self.policy) and may_lock(self.stores.s3)
        while True:
            judged = decide(candidates.values(), shelf.runs, self.policy, now=now)
            decisions = [self._spaced(one, standing[one.candidate.id], shelf, now=now) for one in judged]
            unasked = [one.candidate.id for one in decisions if not one.is_kept and one.candidate.id not in self._locks]
            if not bucket_locks or not unasked:
                return decisions
            for id, lock in self._locks_of([standing[id] for id in unasked]):
                self._locks[id] = lock
                candidates[id] = locked(candidates[id], lock)

    def _spaced(self, decision: Decision, one: Standing, shelf: Shelf, *, now: datetime) -> Decision:
        """The share of one run is for a day, not for a minute. What an earlier run had marked was in its share."""
        last = shelf.pruned_at.get(decision.candidate.database)
        is_marked = one.row is not None and one.row.deleted_at is not None
        if not self.spaced or decision.is_kept or is_marked or last is None or now - last >= SPACING:
            return decision
        hours = int(SPACING.total_seconds() // 3600)
        why = _(
            "another day: the last prune was {last}, and {hours} hours are between two (or --now)",
            last=words.age(last, now=now),
            hours=hours,
        )
        return replace(decision, is_kept=True, reasons=(why,))

    def _locks_of(self, chosen: Sequence[Standing]) -> Iterator[tuple[UUID, ObjectLock]]:
        bucket = self.stores.s3
        assert bucket is not None
        with ThreadPoolExecutor(READERS, thread_name_prefix="lock") as pool:
            for one, lock in zip(chosen, pool.map(lambda one: lock_on(one, bucket), chosen), strict=True):
                yield one.candidate.id, lock

    # One backup.

    def _keep(self, one: Standing) -> None:
        """It stays; also what a prune that died had marked, and what only a lock keeps is told on its row."""
        if one.row is not None and one.row.deleted_at is not None:
            deleting.take_back(one.candidate.id)
        lock = self._locks.get(one.candidate.id)
        if lock is not None and lock.until is not None and lock.until > timezone.now():
            deleting.note(one.candidate.id, f"locked until {lock.until:%Y-%m-%d %H:%M} UTC")

    def _delete(self, one: Standing, decision: Decision) -> Judged:
        """Looks again whether somebody reads it, and deletes it."""
        judged = _planned(decision)
        if in_use().has(id=one.candidate.id, filename=one.candidate.filename):
            return replace(judged, fate=Fate.KEEP, reasons=("being restored",))
        try:
            refused = deleting.take_away(one)
        except (StorageError, ManifestError) as error:
            return replace(judged, fate=Fate.FAILED, reasons=(str(error),))
        return replace(judged, fate=Fate.KEEP, reasons=(refused,)) if refused else replace(judged, fate=Fate.DELETED)

    def _finish(self, leftovers: Iterable[Leftover], done: Pruning) -> None:
        """Removes what a prune that died has left of backups that it had taken apart."""
        for one in leftovers:
            try:
                if deleting.is_of(one):
                    deleting.delete(one.lying)
                    done.finished.append(one.row.filename)
                else:
                    done.left_alone.append(f"{one.row.filename}: another run has made it than the one that was pruned.")
            except StorageError as error:
                why = str(error.scrub(stores.secrets()))
                deleting.note(one.row.id, why)
                done.unfinished.append(f"{one.row.filename}: {why}")


def _planned(decision: Decision) -> Judged:
    fate = Fate.KEEP if decision.is_kept else Fate.OBSOLETE
    return Judged(candidate=decision.candidate, fate=fate, reasons=decision.reasons)


def _stopped(error: BackupsError | KeyboardInterrupt, done: Pruning) -> BackupsError:
    """The error to raise, with what was done until then."""
    reason = error if isinstance(error, BackupsError) else CancelledError(_("The prune was cancelled."))
    if deleted := done.of(Fate.DELETED):
        told = _(
            "{deleted} had been deleted before. What was begun, the next prune finishes.",
            deleted=words.things(len(deleted), "backup"),
        )
        reason.detail = f"{reason.detail}\n{told}".strip()
    return reason

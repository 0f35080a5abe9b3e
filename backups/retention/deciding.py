"""Judges backups by a policy. Pure: no clock, no store, no history; what is obsolete is deleted elsewhere, or not.

The order: what may never go now (`_protections`), what a keep rule keeps (`_last`, `_periods`), then the total, then how much
may go in one run. Every doubt keeps.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import floor
from uuid import UUID

from backups.retention.policy import Candidate, Decision, Policy, Run
from backups.sentences import sentence as _
from backups.sentences import sentences as ngettext
from backups.words import count, printable, size

Reasons = dict[UUID, list[str]]
Key = tuple[int, ...]

STOPPED = _("nothing is pruned")  # how a reason ends that keeps every backup of a database

# Rule, noun, what orders the periods, what people call them. An hour that comes twice when the clocks go back is two: by fold.
PERIODS: tuple[tuple[str, str, Callable[[datetime], Key], str], ...] = (
    ("hourly", _("hour"), lambda at: (at.year, at.month, at.day, at.hour, at.fold), "%Y-%m-%d %H:00 %Z"),
    ("daily", _("day"), lambda at: (at.year, at.month, at.day), "%Y-%m-%d"),
    ("weekly", _("week"), lambda at: at.isocalendar()[:2], "%G-W%V"),
    ("monthly", _("month"), lambda at: (at.year, at.month), "%Y-%m"),
    ("yearly", _("year"), lambda at: (at.year,), "%Y"),
)


def decide(candidates: Iterable[Candidate], runs: Iterable[Run], policy: Policy, *, now: datetime) -> tuple[Decision, ...]:
    """One decision for each candidate, newest first. Each database of each cluster of each environment is judged alone: two
    servers may each have a database of that name. A run that failed before it knew its cluster counts for all of them.

    The order of what is given does not matter. Runs and backups that finished after `now` come from a clock that was wrong:
    such backups are kept, fill no slot and are not the newest verified; such runs are not counted.

    Raises ValueError where a backup is given twice: it would fill two slots.
    """
    backups_of, runs_of = defaultdict(list), defaultdict(list)
    for candidate in sorted(candidates, key=_order, reverse=True):
        backups_of[candidate.environment, candidate.database, candidate.cluster].append(candidate)
    for run in runs:
        if run.finished_at <= now:
            runs_of[run.environment, run.database, run.cluster].append(run)
    decisions = [
        decision
        for (environment, database, cluster), backups in backups_of.items()
        for decision in _of_one_database(
            backups,
            failing=_failing([run for whose in {cluster, ""} for run in runs_of.get((environment, database, whose), ())], policy),
            policy=policy,
            now=now,
        )
    ]
    return tuple(sorted(decisions, key=lambda decision: _order(decision.candidate), reverse=True))


def protecting(
    one: Candidate, candidates: Iterable[Candidate], runs: Iterable[Run], policy: Policy, *, now: datetime
) -> tuple[str, ...]:
    """What keeps a backup from everybody, whichever rule would let it go; empty where it may go. `candidates` are all, it too."""
    whose = (one.environment, one.database)
    theirs = [other for other in candidates if (other.environment, other.database, other.cluster) == (*whose, one.cluster)]
    past = sorted((other for other in theirs if other.finished_at <= now), key=_order, reverse=True)
    newest = _newest_verified(past)[one.is_in_bucket]
    tried = [run for run in runs if (run.environment, run.database) == whose and run.cluster in (one.cluster, "")]
    failing = _failing([run for run in tried if run.finished_at <= now], policy)
    return tuple(_protections(one, newest=newest, failing=failing, policy=policy, now=now))


def _order(one: Candidate) -> tuple[datetime, UUID, str, str]:
    return one.finished_at, one.id, one.environment, one.database


def _of_one_database(backups: Sequence[Candidate], *, failing: str, policy: Policy, now: datetime) -> Iterator[Decision]:
    """Backups come newest first, and so do the decisions."""
    if len({one.id for one in backups}) < len(backups):
        raise ValueError(f"A backup of {backups[0].environment}/{backups[0].database} is given twice.")
    past = [one for one in backups if one.finished_at <= now]
    protected = _protected(backups, past=past, failing=failing, policy=policy, now=now)
    reasons = _kept_by_rules(backups, past=past, policy=policy)
    for one in backups:
        reasons[one.id][:0] = protected[one.id]

    obsolete: dict[UUID, str] = {one.id: _("no rule keeps it") for one in backups if not reasons[one.id]}
    for one in _over_total([one for one in backups if one.id not in obsolete], protected=protected, policy=policy):
        obsolete[one.id] = _total(policy, "over")

    most = max(1, floor(policy.maximum_share * len(backups)))
    oldest_first = [one for one in reversed(backups) if one.id in obsolete]
    may_go = {one.id for one in sorted(oldest_first, key=lambda one: not one.is_bad)[:most]}  # of the bad ones, then of the rest
    for one in backups:
        if one.id in may_go:
            yield Decision(candidate=one, is_kept=False, reasons=(obsolete[one.id],))
        elif one.id in obsolete:
            waits = _("another day: only {most} of {all} may go in one run", most=most, all=len(backups))
            yield Decision(candidate=one, is_kept=True, reasons=(waits,))
        else:
            yield Decision(candidate=one, is_kept=True, reasons=tuple(reasons[one.id]))


def _failing(runs: Iterable[Run], policy: Policy) -> str:
    """Why nothing is pruned; empty where the newest runs have not all failed. Of one instant, the failure counts as newer."""
    enough = policy.failures_that_stop
    newest = sorted(runs, key=lambda run: (run.finished_at, not run.succeeded), reverse=True)[:enough]
    if not newest or newest[0].succeeded:
        return ""
    if len(newest) < enough:
        return ngettext(
            "the last of {count} run failed, too few to tell: {stopped}",
            "the last of {count} runs failed, too few to tell: {stopped}",
            len(newest),
            count=count(len(newest)),
            stopped=STOPPED,
        )
    if any(run.succeeded for run in newest):
        return ""
    return ngettext(
        "the last run failed: {stopped}", "the last {count} runs failed: {stopped}", enough, count=count(enough), stopped=STOPPED
    )


def _protected(
    backups: Sequence[Candidate], *, past: Sequence[Candidate], failing: str, policy: Policy, now: datetime
) -> Reasons:
    newest = _newest_verified(past)
    return {
        one.id: list(_protections(one, newest=newest[one.is_in_bucket], failing=failing, policy=policy, now=now))
        for one in backups
    }


def _newest_verified(past: Sequence[Candidate]) -> Mapping[bool, Candidate | None]:
    """By which what is in the bucket (True) is measured, and what is not: what is lost with the machine lets nothing go of the
    bucket.
    """
    verified = [one for one in past if one.is_verified]
    return {True: next((one for one in verified if one.is_in_bucket), None), False: next(iter(verified), None)}


def _protections(one: Candidate, *, newest: Candidate | None, failing: str, policy: Policy, now: datetime) -> Iterator[str]:
    """What keeps a backup whatever the rules and the total say. `newest` is the newest verified one, by which it is measured."""
    if one.pin:
        yield _("pinned: {reason}", reason=printable(one.pin))
    if one.locked_until is not None and one.locked_until > now:
        yield _("locked until {time} UTC", time=f"{one.locked_until.astimezone(UTC):%Y-%m-%d %H:%M}")
    if one.is_in_use:
        yield _("being restored")
    if one.finished_at > now:
        yield _("finished in the future: the clock was moved")
    elif policy.minimum_age_days is not None and (now - one.finished_at).days < policy.minimum_age_days:
        yield ngettext(
            "younger than {count} day", "younger than {count} days", policy.minimum_age_days, count=count(policy.minimum_age_days)
        )
    if newest is None and one.is_in_bucket:
        yield _("no backup in the bucket is verified up to now: {stopped}", stopped=STOPPED)
    elif newest is None:
        yield _("no backup up to now is verified: {stopped}", stopped=STOPPED)
    elif newest.finished_at <= one.finished_at <= now:
        yield _beside_the_newest(one, newest)
    if failing:
        yield failing


def _beside_the_newest(one: Candidate, newest: Candidate) -> str:
    """For what is not older than the newest verified one: a step back from it must stay possible, and so must a look."""
    if one.id == newest.id:
        return _("newest verified in the bucket") if one.is_in_bucket else _("newest verified")
    if one.finished_at == newest.finished_at:
        return _("as new as the newest verified")
    return _("bad, but nothing newer is verified") if one.is_bad else _("not verified yet, and newer than the newest verified")


def _kept_by_rules(backups: Sequence[Candidate], *, past: Sequence[Candidate], policy: Policy) -> Reasons:
    """Only the verified fill slots; what is of the future needs none. A verdict can be wrong: what is bad stays where it would
    stay without one, in nobody's place.
    """
    reasons: Reasons = {one.id: [] for one in backups}
    if not policy.has_keep_rule:
        why = _("no rule is set: everything is kept") if policy.maximum_total_bytes is None else _total(policy, "within")
        return {one.id: [why] for one in backups}
    for one, reason in _last(past, policy.keep_last):
        reasons[one.id].append(reason)
    for one, reason in _periods(past, policy):
        reasons[one.id].append(reason)
    return reasons


def _last(past: Sequence[Candidate], slots: int | None) -> Iterator[tuple[Candidate, str]]:
    if slots is None:
        return
    filling = [one for one in past if one.is_verified][:slots]
    is_full = len(filling) == slots
    for place, one in enumerate(filling, start=1):
        yield one, _("verified {place} of the last {slots}", place=place, slots=slots)
    for one in past:
        if not one.is_verified and not is_full:
            yield one, _("{unproven}, and fewer than {slots} are verified", unproven=_unproven(one), slots=slots)
        elif not one.is_verified and one.finished_at >= filling[-1].finished_at:
            yield one, _("{unproven}, and among the last {slots} verified", unproven=_unproven(one), slots=slots)


def _unproven(one: Candidate) -> str:
    return _("bad") if one.is_bad else _("not verified yet")


def _periods(past: Sequence[Candidate], policy: Policy) -> Iterator[tuple[Candidate, str]]:
    zone = policy.zone
    local = [(one, one.finished_at.astimezone(zone)) for one in past]
    for rule, noun, key, name in PERIODS:
        slots: int | None = getattr(policy, rule)
        if slots is not None:
            for one, at, place in _newest_of_each(local, key, slots):
                of = {"period": at.strftime(name), "noun": noun}
                if place:
                    yield one, _("newest of {period} ({noun} {place} of {slots})", place=place, slots=slots, **of)
                else:
                    yield one, _("newest of {period} ({noun} without a verified one)", **of)


def _newest_of_each(
    local: Sequence[tuple[Candidate, datetime]], key: Callable[[datetime], Key], slots: int
) -> Iterator[tuple[Candidate, datetime, int]]:
    """The newest verified one of each of the newest periods that have one, with the slot it fills, from 1.

    With 0 the newest of each period that has none verified, back to the oldest slot, or to the beginning while slots are free;
    and beside it the newest that is bad.
    """
    verified: dict[Key, tuple[Candidate, datetime]] = {}
    unverified: dict[Key, tuple[Candidate, datetime]] = {}
    bad: dict[Key, tuple[Candidate, datetime]] = {}
    for one, at in local:
        (verified if one.is_verified else bad if one.is_bad else unverified).setdefault(key(at), (one, at))
    counted = sorted(verified, reverse=True)[:slots]
    for place, period in enumerate(counted, start=1):
        yield *verified[period], place
    for period, newest in (*unverified.items(), *bad.items()):
        if period not in verified and (len(counted) < slots or period > counted[-1]):
            yield *newest, 0


def _over_total(kept: Sequence[Candidate], *, protected: Reasons, policy: Policy) -> Iterator[Candidate]:
    """The oldest that may go, until the rest fits; what is protected counts in the total and stays."""
    if policy.maximum_total_bytes is None:
        return
    excess = sum(one.size_bytes for one in kept) - policy.maximum_total_bytes
    for one in reversed(kept):
        if excess > 0 and not protected[one.id]:
            excess -= one.size_bytes
            yield one


def _total(policy: Policy, side: str) -> str:
    total = size(policy.maximum_total_bytes)
    return _("within {total} in total", total=total) if side == "within" else _("over {total} in total", total=total)

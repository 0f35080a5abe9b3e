"""Retention: what each rule keeps, what nothing takes away, and the same judgement from a second, slower model."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import floor
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backups.retention import Candidate, Decision, Policy, Run, decide

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday, the last day of 2026-W47
GIB = 1 << 30
DAY = timedelta(days=1)
KEEP_RULES = ("keep_last", "hourly", "daily", "weekly", "monthly", "yearly")
_numbers = iter(range(1, 1 << 62))


def backup(finished_at: datetime, **changes: object) -> Candidate:
    """A verified one of 1 GiB, unless told otherwise."""
    number = next(_numbers)
    given = {"verified_at": finished_at + timedelta(hours=1)} | changes
    return Candidate(
        **{  # type: ignore[arg-type]
            "id": UUID(int=number),
            "filename": f"backup-{finished_at:%Y-%m-%dT%H%M}-n{number}.dump",
            "environment": "production",
            "database": "shop",
            "finished_at": finished_at,
            "size_bytes": GIB,
        }
        | given
    )


def unverified(finished_at: datetime, **changes: object) -> Candidate:
    return backup(finished_at, verified_at=None, **changes)


def bad(finished_at: datetime, **changes: object) -> Candidate:
    return backup(finished_at, is_bad=True, **changes)


def nightly(count: int, *, last: datetime = NOW - timedelta(hours=10), **changes: object) -> list[Candidate]:
    """One a night, oldest first; the last one tonight at 2 o'clock."""
    return [backup(last - n * DAY, **changes) for n in reversed(range(count))]


def policy(**rules: object) -> Policy:
    """All that is obsolete may go in one run, unless told otherwise."""
    return Policy(**{"maximum_share": 1.0} | rules)  # type: ignore[arg-type]


def run(finished_at: datetime, *, succeeded: bool, environment: str = "production", database: str = "shop") -> Run:
    return Run(environment=environment, database=database, finished_at=finished_at, succeeded=succeeded)


def runs(outcomes: str, *, last: datetime = NOW - timedelta(hours=10)) -> list[Run]:
    """ "..F": two that succeeded, then one that failed, a night each."""
    return [run(last - n * DAY, succeeded=outcome == ".") for n, outcome in enumerate(reversed(outcomes))]


def kept(decisions: Iterable[Decision]) -> set[Candidate]:
    return {decision.candidate for decision in decisions if decision.is_kept}


def obsolete(decisions: Iterable[Decision]) -> set[Candidate]:
    return {decision.candidate for decision in decisions if not decision.is_kept}


def reasons(one: Candidate, decisions: Iterable[Decision]) -> tuple[str, ...]:
    return next(decision.reasons for decision in decisions if decision.candidate == one)


# ---------------------------------------------------------------------------------------------------- the policy itself


@pytest.mark.parametrize("name", [*KEEP_RULES, "minimum_age_days", "maximum_total_bytes", "failures_that_stop"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "7", True])
def test_a_count_is_a_whole_number_from_one(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a whole number, 1 or more.*it is {value!r}"):
        Policy(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan"), float("inf"), "half", None])
def test_a_share_is_above_zero_and_at_most_one(share: object) -> None:
    with pytest.raises(ValueError, match="maximum_share must be above 0 and at most 1"):
        Policy(maximum_share=share)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ["", "Europe", "Europe/Berlim", "../etc/passwd", "/etc/localtime", "a\0b", None, 1])
def test_a_time_zone_has_to_be_known(zone: object) -> None:
    with pytest.raises(ValueError, match="time_zone must be a name as Europe/Berlin"):
        Policy(time_zone=zone)  # type: ignore[arg-type]


def test_a_policy_of_any_size_is_fine() -> None:
    everything = Policy(**dict.fromkeys([*KEEP_RULES, "minimum_age_days", "maximum_total_bytes"], 10**30))  # type: ignore[arg-type]
    assert not obsolete(decide(nightly(3), [], everything, now=NOW))


# ------------------------------------------------------------------------------------------------------------- each rule


def test_without_any_rule_everything_is_kept() -> None:
    backups = [*nightly(9), bad(NOW - 400 * DAY), unverified(NOW - 500 * DAY)]
    decisions = decide(backups, [], policy(), now=NOW)

    assert kept(decisions) == set(backups)
    assert reasons(backups[0], decisions) == ("no rule is set: everything is kept",)


def test_a_minimum_age_alone_makes_nothing_obsolete() -> None:
    assert not obsolete(decide(nightly(9), [], policy(minimum_age_days=1), now=NOW))


def test_nothing_given_nothing_decided() -> None:
    assert decide([], [], policy(keep_last=1), now=NOW) == ()


def test_decisions_come_newest_first() -> None:
    backups = nightly(4) + nightly(4, environment="staging")
    decided = [decision.candidate.finished_at for decision in decide(backups, [], policy(keep_last=2), now=NOW)]
    assert decided == sorted(decided, reverse=True)


def test_the_last_ones_are_the_newest_verified() -> None:
    backups = nightly(5)
    decisions = decide(backups, [], policy(keep_last=3), now=NOW)

    assert kept(decisions) == set(backups[-3:])
    assert reasons(backups[-1], decisions) == ("newest verified", "verified 1 of the last 3")
    assert reasons(backups[-3], decisions) == ("verified 3 of the last 3",)
    assert reasons(backups[-4], decisions) == ("no rule keeps it",)


def test_what_is_in_the_local_folder_alone_lets_nothing_of_the_bucket_go() -> None:
    old, newest = (backup(NOW - days * DAY, is_in_bucket=True) for days in (9, 8))
    unproven = unverified(NOW - 7 * DAY, is_in_bucket=True)
    local = nightly(3)
    decisions = decide([old, newest, unproven, *local], [], policy(keep_last=1), now=NOW)
    assert kept(decisions) == {newest, unproven, local[-1]}
    assert reasons(newest, decisions) == ("newest verified in the bucket",)
    assert reasons(unproven, decisions) == ("not verified yet, and newer than the newest verified",)


def test_while_nothing_in_the_bucket_is_verified_nothing_of_it_goes() -> None:
    unproven = unverified(NOW - 9 * DAY, is_in_bucket=True)
    decisions = decide([unproven, *nightly(3)], [], policy(keep_last=1), now=NOW)
    assert reasons(unproven, decisions) == ("no backup in the bucket is verified up to now: nothing is pruned",)


def test_an_unverified_one_takes_no_place_among_the_last() -> None:
    backups = nightly(6)
    backups[3] = replace(backups[3], verified_at=None)
    decisions = decide(backups, [], policy(keep_last=3), now=NOW)

    assert kept(decisions) == set(backups[2:])
    assert reasons(backups[3], decisions) == ("not verified yet, and among the last 3 verified",)


def test_an_unverified_one_older_than_the_last_ones_goes() -> None:
    backups = nightly(4)
    old = unverified(backups[1].finished_at - timedelta(seconds=1))
    assert old in obsolete(decide([old, *backups], [], policy(keep_last=3), now=NOW))


def test_an_unverified_one_of_the_same_second_as_the_last_slot_stays() -> None:
    backups = nightly(4)
    beside = unverified(backups[1].finished_at)
    assert obsolete(decide([beside, *backups], [], policy(keep_last=3), now=NOW)) == {backups[0]}


def test_while_there_are_too_few_verified_all_unverified_ones_stay() -> None:
    old = unverified(NOW - 900 * DAY)
    decisions = decide([old, *nightly(2)], [], policy(keep_last=3), now=NOW)
    assert reasons(old, decisions) == ("not verified yet, and fewer than 3 are verified",)


def test_of_each_day_the_newest_verified_one_is_kept() -> None:
    day = datetime(2026, 11, 20, tzinfo=UTC)
    early, late, later = backup(day), backup(day + timedelta(hours=20)), unverified(day + timedelta(hours=22))
    decisions = decide([early, late, later, *nightly(2)], [], policy(daily=7), now=NOW)

    assert obsolete(decisions) == {early, later}
    assert reasons(late, decisions) == ("newest of 2026-11-20 (day 3 of 7)",)


def test_a_gap_of_months_uses_up_no_day() -> None:
    backups = nightly(2) + nightly(4, last=NOW - 200 * DAY)
    assert kept(decide(backups, [], policy(daily=4), now=NOW)) == {*backups[:2], *backups[-2:]}


def test_a_day_without_a_verified_one_keeps_its_newest_unverified_one_and_uses_up_no_slot() -> None:
    backups = nightly(6)
    backups[3] = replace(backups[3], verified_at=None)
    earlier = unverified(backups[3].finished_at - timedelta(hours=1))
    decisions = decide([earlier, *backups], [], policy(daily=3), now=NOW)

    assert kept(decisions) == set(backups[2:])
    assert reasons(backups[3], decisions) == ("newest of 2026-11-20 (day without a verified one)",)


def test_a_day_without_a_verified_one_keeps_nothing_once_it_is_older_than_the_oldest_slot() -> None:
    old = unverified(NOW - 10 * DAY)
    assert obsolete(decide([old, *nightly(3)], [], policy(daily=3), now=NOW)) == {old}
    assert not obsolete(decide([old, *nightly(3)], [], policy(daily=4), now=NOW))


def test_a_bad_one_fills_no_slot_but_stays_where_an_unverified_one_would() -> None:
    backups = nightly(6)
    backups[2] = replace(backups[2], is_bad=True)
    for rules, why in (
        (policy(daily=4), "newest of 2026-11-19 (day without a verified one)"),
        (policy(keep_last=4), "bad, and among the last 4 verified"),
    ):
        decisions = decide(backups, [], rules, now=NOW)
        assert reasons(backups[2], decisions) == (why,)
        assert kept(decisions) == set(backups[1:])


def test_a_bad_one_goes_where_its_period_has_a_verified_one() -> None:
    day = datetime(2026, 11, 20, tzinfo=UTC)
    good, broken = backup(day), bad(day + timedelta(hours=2))
    decisions = decide([good, broken, *nightly(2)], [], policy(daily=7), now=NOW)
    assert obsolete(decisions) == {broken}


def test_an_unverified_one_keeps_its_period_beside_a_newer_bad_one() -> None:
    day = datetime(2026, 11, 20, tzinfo=UTC)
    unknown, broken = unverified(day), bad(day + timedelta(hours=2))
    decisions = decide([unknown, broken, *nightly(2)], [], policy(daily=7), now=NOW)
    assert obsolete(decisions) == set()


def test_each_cluster_is_judged_alone() -> None:
    """Two servers may each have a database of one name: the newer backups of the one are no reason to let go of the other's."""
    here, there = nightly(3), nightly(3, last=NOW - 400 * DAY)
    there = [replace(one, cluster="7001") for one in there]
    decisions = decide([*here, *there], [], policy(keep_last=1), now=NOW)
    assert kept(decisions) == {here[-1], there[-1]}


def test_a_run_that_failed_before_it_knew_its_cluster_stops_the_pruning_of_all_of_that_name() -> None:
    backups = [replace(one, cluster="7001") for one in nightly(3)]
    decisions = decide(backups, [run(NOW - HOUR, succeeded=False)], policy(keep_last=1, failures_that_stop=1), now=NOW)
    assert obsolete(decisions) == set()


def test_a_bad_one_stays_while_nothing_newer_is_verified() -> None:
    backups = [*nightly(3), bad(NOW - timedelta(hours=2))]
    decisions = decide(backups, [], policy(keep_last=1), now=NOW)

    assert kept(decisions) == set(backups[-2:])
    assert reasons(backups[-1], decisions)[0] == "bad, but nothing newer is verified"


def test_weeks_months_and_years_keep_the_newest_of_theirs() -> None:
    backups = nightly(800)
    decisions = decide(backups, [], policy(daily=3, weekly=3, monthly=3, yearly=2), now=NOW)

    assert [decision.candidate.finished_at.date().isoformat() for decision in decisions if decision.is_kept] == [
        *("2026-11-22", "2026-11-21", "2026-11-20"),  # days; the first also the newest of its week, its month and its year
        *("2026-11-15", "2026-11-08"),  # Sundays
        *("2026-10-31", "2026-09-30"),
        "2025-12-31",
    ]
    assert decisions[0].reasons == (
        "newest verified",
        "newest of 2026-11-22 (day 1 of 3)",
        "newest of 2026-W47 (week 1 of 3)",
        "newest of 2026-11 (month 1 of 3)",
        "newest of 2026 (year 1 of 2)",
    )


def test_the_last_days_of_december_may_be_of_the_next_years_first_week() -> None:
    backups = [backup(datetime(2024, 12, day, tzinfo=UTC)) for day in (29, 30, 31)]
    decisions = decide(backups, [], policy(weekly=2), now=NOW)

    assert obsolete(decisions) == {backups[1]}
    assert "newest of 2025-W01 (week 1 of 2)" in reasons(backups[2], decisions)


def test_a_day_is_a_day_of_the_time_zone() -> None:
    before, after = backup(datetime(2026, 7, 1, 21, 59, tzinfo=UTC)), backup(datetime(2026, 7, 1, 22, 0, tzinfo=UTC))

    assert kept(decide([before, after], [], policy(daily=5), now=NOW)) == {after}
    assert kept(decide([before, after], [], policy(daily=5, time_zone="Europe/Berlin"), now=NOW)) == {before, after}


def test_the_hour_that_comes_twice_when_the_clocks_go_back_is_two_hours() -> None:
    backups = [backup(datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1)]
    decisions = decide(backups, [], policy(hourly=2, time_zone="Europe/Berlin"), now=NOW)

    assert reasons(backups[0], decisions) == ("newest of 2026-10-25 02:00 CEST (hour 2 of 2)",)
    assert reasons(backups[1], decisions) == ("newest verified", "newest of 2026-10-25 02:00 CET (hour 1 of 2)")


# ------------------------------------------------------------------------------------------------ what nothing takes away


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pin": "before the audit"}, "pinned: before the audit"),
        ({"pin": "two\nlines"}, "pinned: two\N{REPLACEMENT CHARACTER}lines"),
        ({"locked_until": NOW + timedelta(seconds=1)}, "locked until 2026-11-22 12:00 UTC"),
        ({"locked_until": datetime(2027, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))}, "locked until 2026-12-31 23:00 UTC"),
        ({"is_in_use": True}, "being restored"),
    ],
)
@pytest.mark.parametrize("make", [backup, unverified, bad])
def test_what_is_pinned_or_locked_or_being_restored_stays(make, changes: dict[str, object], reason: str) -> None:  # type: ignore[no-untyped-def]
    held = make(NOW - 900 * DAY, **changes)
    decisions = decide([held, *nightly(3)], [], policy(keep_last=1, maximum_total_bytes=1), now=NOW)
    assert reasons(held, decisions) == (reason,)
    assert len(obsolete(decisions)) == 2


def test_a_lock_that_has_ended_holds_nothing() -> None:
    free = backup(NOW - 900 * DAY, locked_until=NOW)
    assert free in obsolete(decide([free, *nightly(3)], [], policy(keep_last=1), now=NOW))


def test_nothing_younger_than_the_minimum_age_goes() -> None:
    old, young = backup(NOW - 2 * DAY), backup(NOW - 2 * DAY + timedelta(microseconds=1))
    decisions = decide([old, young, backup(NOW)], [], policy(keep_last=1, minimum_age_days=2), now=NOW)

    assert obsolete(decisions) == {old}
    assert reasons(young, decisions) == ("younger than 2 days",)


def test_what_is_not_older_than_the_newest_verified_stays() -> None:
    newest, beside, after = backup(NOW - DAY), unverified(NOW - DAY), unverified(NOW)
    before = unverified(NOW - 2 * DAY)
    decisions = decide([newest, beside, after, before, *nightly(2, last=NOW - 5 * DAY)], [], policy(yearly=1), now=NOW)

    assert kept(decisions) == {newest, beside, after}
    assert reasons(beside, decisions) == ("as new as the newest verified",)
    assert reasons(after, decisions) == ("not verified yet, and newer than the newest verified",)


def test_where_nothing_is_verified_nothing_goes() -> None:
    backups = [*nightly(5, verified_at=None), bad(NOW - 50 * DAY)]
    decisions = decide(backups, [], policy(keep_last=1, maximum_total_bytes=1), now=NOW)

    assert kept(decisions) == set(backups)
    assert "no backup up to now is verified: nothing is pruned" in reasons(backups[-1], decisions)


def test_a_backup_of_the_future_stays_and_fills_no_slot() -> None:
    """A clock was years ahead for one night: the backups of all later nights must not be older than "the newest verified"."""
    ahead, backups = backup(NOW + 5000 * DAY), nightly(4)
    decisions = decide([ahead, *backups], [], policy(keep_last=1, yearly=1), now=NOW)

    assert kept(decisions) == {ahead, backups[-1]}
    assert reasons(ahead, decisions) == ("finished in the future: the clock was moved",)
    assert "newest verified" in reasons(backups[-1], decisions)


def test_where_only_backups_of_the_future_are_verified_nothing_goes() -> None:
    backups = [backup(NOW + DAY), *nightly(4, verified_at=None)]
    assert not obsolete(decide(backups, [], policy(keep_last=1), now=NOW))


def test_after_the_clock_was_set_back_to_before_everything_nothing_goes() -> None:
    assert not obsolete(decide(nightly(9), [], policy(keep_last=1), now=NOW - 9000 * DAY))


# ------------------------------------------------------------------------------------------------- while the runs fail


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ("", ""),
        (".", ""),
        ("FFF.", ""),
        (".FF", ""),
        (".F.F", ""),
        ("F", "the last of 1 run failed, too few to tell: nothing is pruned"),
        (".F", "the last of 2 runs failed, too few to tell: nothing is pruned"),
        (".FFF", "the last 3 runs failed: nothing is pruned"),
        ("FFFFFF", "the last 3 runs failed: nothing is pruned"),
    ],
)
def test_nothing_goes_while_the_newest_runs_fail(outcomes: str, reason: str) -> None:
    backups = nightly(6)
    decisions = decide(backups, runs(outcomes), policy(keep_last=1, maximum_total_bytes=1), now=NOW)

    assert len(obsolete(decisions)) == (0 if reason else 5)
    assert reasons(backups[0], decisions) == (reason or "no rule keeps it",)


def test_one_failure_may_be_enough() -> None:
    backups = nightly(2)
    decisions = decide(backups, runs("..F"), policy(keep_last=1, failures_that_stop=1), now=NOW)
    assert reasons(backups[0], decisions) == ("the last run failed: nothing is pruned",)


def test_of_two_runs_that_end_in_one_instant_the_failed_one_is_the_newer() -> None:
    outcomes = [run(NOW, succeeded=True), run(NOW, succeeded=False)]
    for given_runs in (outcomes, outcomes[::-1]):
        assert not obsolete(decide(nightly(2), given_runs, policy(keep_last=1, failures_that_stop=1), now=NOW))


def test_the_runs_of_another_database_stop_nothing() -> None:
    others = [run(NOW, succeeded=False, environment="staging"), run(NOW, succeeded=False, database="till")]
    assert len(obsolete(decide(nightly(2), others, policy(keep_last=1, failures_that_stop=1), now=NOW))) == 1


def test_a_run_of_the_future_hides_no_failures() -> None:
    ahead = run(NOW + 5000 * DAY, succeeded=True)
    assert not obsolete(decide(nightly(6), [ahead, *runs(".FFF")], policy(keep_last=1), now=NOW))


# --------------------------------------------------------------------------------------------------- the total, the share


def test_over_the_total_the_oldest_go() -> None:
    backups = nightly(5)
    decisions = decide(backups, [], policy(daily=5, maximum_total_bytes=3 * GIB), now=NOW)

    assert kept(decisions) == set(backups[-3:])
    assert reasons(backups[1], decisions) == ("over 3.0 GiB in total",)
    assert not obsolete(decide(backups, [], policy(daily=5, maximum_total_bytes=5 * GIB), now=NOW))
    assert len(obsolete(decide(backups, [], policy(daily=5, maximum_total_bytes=5 * GIB - 1), now=NOW))) == 1


def test_a_total_alone_keeps_what_fits() -> None:
    backups = nightly(5)
    decisions = decide(backups, [], policy(maximum_total_bytes=3 * GIB), now=NOW)

    assert kept(decisions) == set(backups[-3:])
    assert reasons(backups[-2], decisions) == ("within 3.0 GiB in total",)


def test_what_no_rule_keeps_does_not_count_in_the_total() -> None:
    assert len(kept(decide(nightly(9), [], policy(daily=3, maximum_total_bytes=3 * GIB), now=NOW))) == 3


def test_what_may_not_go_counts_in_the_total_and_stays() -> None:
    backups = nightly(5)
    backups[1] = replace(backups[1], pin="the year's end")
    assert kept(decide(backups, [], policy(daily=5, maximum_total_bytes=3 * GIB), now=NOW)) == {backups[1], *backups[-2:]}
    assert kept(decide(backups, [], policy(daily=5, maximum_total_bytes=1), now=NOW)) == {backups[1], backups[-1]}


@pytest.mark.parametrize(
    ("share", "backups", "gone"), [(0.5, 10, 5), (0.5, 11, 5), (0.5, 3, 1), (0.01, 10, 1), (1.0, 10, 9), (1, 2, 1), (0.5, 2, 1)]
)
def test_only_a_share_goes_in_one_run_the_oldest_first(share: float, backups: int, gone: int) -> None:
    given_backups = nightly(backups)
    decisions = decide(given_backups, [], Policy(keep_last=1, maximum_share=share), now=NOW)

    assert obsolete(decisions) == set(given_backups[:gone])
    for waiting in given_backups[gone:-1]:
        assert reasons(waiting, decisions) == (f"another day: only {gone} of {backups} may go in one run",)


def test_where_only_a_share_may_go_the_bad_ones_go_before_older_good_ones() -> None:
    good, newest = nightly(3), backup(NOW - timedelta(hours=1))
    broken = bad(NOW - timedelta(hours=20))

    decisions = decide([*good, broken, newest], [], Policy(keep_last=1, maximum_share=0.4), now=NOW)

    assert obsolete(decisions) == {broken, good[0]}


# --------------------------------------------------------------------------------------------------------- whose they are


def test_each_database_of_each_environment_is_judged_alone() -> None:
    shop, staging, till = nightly(4), nightly(4, environment="staging"), nightly(4, database="till", last=NOW - 900 * DAY)
    decided = kept(decide([*shop, *staging, *till], [], policy(keep_last=2), now=NOW))
    assert decided == {*shop[-2:], *staging[-2:], *till[-2:]}


def test_a_backup_that_is_given_twice_is_refused() -> None:
    one = backup(NOW)
    with pytest.raises(ValueError, match=r"A backup of production/shop is given twice\."):
        decide([one, *nightly(2), one], [], policy(keep_last=2), now=NOW)


def test_one_id_in_two_environments_is_two_backups() -> None:
    mine = nightly(3)
    copies = [replace(one, environment="staging", pin="copied") for one in mine]
    assert kept(decide([*mine, *copies], [], policy(keep_last=1), now=NOW)) == {mine[-1], *copies}


def test_backups_of_one_second_are_told_apart_by_their_ids() -> None:
    backups = [backup(NOW - DAY) for _ in range(4)] + [backup(NOW)]
    assert len(kept(decide(backups, [], policy(keep_last=3), now=NOW))) == 3


# ------------------------------------------------------------------------------------------------------------ over years


def test_pruning_every_night_for_three_years_ends_where_pruning_once_would() -> None:
    rules = policy(hourly=5, daily=7, weekly=4, monthly=12, yearly=2, time_zone="Europe/Berlin")
    everything = [backup(NOW - n * timedelta(hours=11)) for n in reversed(range(3 * 365 * 24 // 11))]
    alive: set[Candidate] = set()
    for one in everything:
        alive = kept(decide([*alive, one], [], rules, now=one.finished_at))

    assert alive == kept(decide(everything, [], rules, now=NOW))
    assert 7 + 4 + 12 <= len(alive) <= 5 + 7 + 4 + 12 + 2


# ----------------------------------------------------------------------------------------------------- a second opinion
#
# The model asks of each backup alone whether it stays, with sets and loops, and shares no code with what it judges.


def period_of(moment: datetime, rule: str, zone: ZoneInfo) -> datetime | date:
    """When the period began: an hour as an instant in UTC, the others as a date."""
    local = moment.astimezone(zone)
    if rule == "hourly":
        offset = local.utcoffset()
        assert offset is not None
        return local.replace(minute=0, second=0, microsecond=0, tzinfo=None) - offset
    day = local.date()
    return {
        "daily": day,
        "weekly": day - timedelta(days=day.weekday()),
        "monthly": date(day.year, day.month, 1),
        "yearly": date(day.year, 1, 1),
    }[rule]


def model_of_a_period_rule(usable: Sequence[Candidate], rule: str, slots: int, zone: ZoneInfo) -> set[Candidate]:
    periods = {one: period_of(one.finished_at, rule, zone) for one in usable}
    with_verified = {period for one, period in periods.items() if one.verified_at}
    stays = set()
    for period in set(periods.values()):
        newer_that_count = len({other for other in with_verified if other > period})
        if newer_that_count < slots:
            inside = [one for one in usable if periods[one] == period and bool(one.verified_at) == (period in with_verified)]
            stays.add(max(inside, key=lambda one: (one.finished_at, one.id)))
    return stays


def model_is_failing(its_runs: Sequence[Run], rules: Policy, now: datetime) -> bool:
    past = [one for one in its_runs if one.finished_at <= now]
    streak = 0
    for one in sorted(past, key=lambda run: (-run.finished_at.timestamp(), run.succeeded)):
        if one.succeeded:
            break
        streak += 1
    return streak >= rules.failures_that_stop or (streak > 0 and len(past) < rules.failures_that_stop)


def model_of_the_last(usable: Sequence[Candidate], number: int) -> set[Candidate]:
    stays = set()
    for one in usable:
        newer = {other for other in usable if other.verified_at and other.finished_at > one.finished_at}
        if one.verified_at:
            newer |= {
                other for other in usable if other.finished_at == one.finished_at and other.verified_at and other.id > one.id
            }
        if len(newer) < number:
            stays.add(one)
    return stays


def model_of_the_rules(usable: Sequence[Candidate], rules: Policy) -> set[Candidate]:
    stays = model_of_the_last(usable, rules.keep_last) if rules.keep_last else set()
    for rule in KEEP_RULES[1:]:
        if slots := getattr(rules, rule):
            stays |= model_of_a_period_rule(usable, rule, slots, ZoneInfo(rules.time_zone))
    return stays


def model_of_one_database(backups: Sequence[Candidate], its_runs: Sequence[Run], rules: Policy, now: datetime) -> set[Candidate]:
    future = {one for one in backups if one.finished_at > now}
    usable = [one for one in backups if one not in future and not one.is_bad]
    proven_at = [one.finished_at for one in usable if one.verified_at]
    young = timedelta(days=rules.minimum_age_days or 0)

    untouchable = future | {one for one in backups if one.pin or one.is_in_use or (one.locked_until and one.locked_until > now)}
    untouchable |= {one for one in backups if one.finished_at + young > now}
    untouchable |= {one for one in backups if not any(at > one.finished_at for at in proven_at)}
    if not proven_at or model_is_failing(its_runs, rules, now):
        untouchable = set(backups)

    has_rule = any(getattr(rules, rule) for rule in KEEP_RULES)
    stays = set(untouchable) if has_rule else set(backups)
    stays |= model_of_the_rules(usable, rules)
    as_if_unverified = {replace(one, is_bad=False, verified_at=None): one for one in backups if one not in future and one.is_bad}
    with_bad = model_of_the_rules([*(one for one in usable if one.verified_at), *as_if_unverified], rules)
    stays |= {bad for twin, bad in as_if_unverified.items() if twin in with_bad}

    while rules.maximum_total_bytes and sum(one.size_bytes for one in stays) > rules.maximum_total_bytes and stays - untouchable:
        stays.remove(min(stays - untouchable, key=lambda one: (one.finished_at, one.id)))

    leaving = sorted(set(backups) - stays, key=lambda one: (not one.is_bad, one.finished_at, one.id))
    return set(backups) - set(leaving[: max(1, floor(len(backups) * rules.maximum_share))])


def model(backups: Sequence[Candidate], its_runs: Sequence[Run], rules: Policy, now: datetime) -> set[Candidate]:
    stays: set[Candidate] = set()
    for whose in {(one.environment, one.database) for one in backups}:
        mine = [one for one in backups if (one.environment, one.database) == whose]
        stays |= model_of_one_database(mine, [one for one in its_runs if (one.environment, one.database) == whose], rules, now)
    return stays


DATABASES = (("production", "shop"), ("staging", "shop"), ("production", "till"))
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia")
BEGINNINGS = (
    datetime(2026, 10, 24, 20, tzinfo=UTC),  # Berlin's clocks go back five hours later,
    datetime(2026, 3, 28, 20, tzinfo=UTC),  # or forward
    datetime(2026, 4, 4, 11, tzinfo=UTC),  # Lord Howe's by half an hour
    datetime(2024, 12, 27, tzinfo=UTC),  # weeks of two years
    datetime(2011, 12, 28, tzinfo=UTC),  # Apia has no 30th
    datetime(2020, 2, 28, 23, 59, 59, tzinfo=UTC),
)
HOUR = timedelta(hours=1)
STEPS = (
    *(timedelta(0), timedelta(seconds=1), timedelta(minutes=20), timedelta(minutes=30), HOUR, 5 * HOUR, 23 * HOUR),
    *(DAY, DAY, DAY, 25 * HOUR, 3 * DAY, 7 * DAY, 20 * DAY, 31 * DAY, 190 * DAY, 366 * DAY),
    *(-HOUR, -DAY, -40 * DAY),  # the clock was set back
)
few = st.none() | st.integers(1, 6)
keep_rules = st.fixed_dictionaries(dict.fromkeys(KEEP_RULES, few))
policies = st.builds(
    Policy,
    **dict.fromkeys(KEEP_RULES, few),
    minimum_age_days=st.none() | st.integers(1, 40),
    maximum_total_bytes=st.none() | st.integers(1, 120),
    maximum_share=st.just(1.0) | st.floats(0.01, 1),
    failures_that_stop=st.integers(1, 4),
    time_zone=st.sampled_from(ZONES),
)


@st.composite
def histories(draw: st.DrawFn, *, databases: int = 3) -> tuple[list[Candidate], list[Run], datetime]:
    """Backups and runs as a clock that jumps told their ends, and the moment at which somebody looks."""
    moment = draw(st.sampled_from(BEGINNINGS))
    backups: list[Candidate] = []
    tried: list[Run] = []
    rarely = st.sampled_from((*[False] * 9, True))
    for number in range(draw(st.integers(0, 30))):
        moment += draw(st.sampled_from(STEPS))
        environment, database = DATABASES[draw(st.integers(0, databases - 1))]
        whose = {"environment": environment, "database": database}
        succeeded = draw(st.sampled_from((True, True, True, False)))
        tried.append(run(moment, succeeded=succeeded, **whose))
        if succeeded:
            backups.append(
                backup(
                    moment,
                    id=UUID(int=draw(st.integers(0, 1 << 40)) << 32 | number),
                    size_bytes=draw(st.integers(0, 20)),
                    verified_at=moment + HOUR if draw(st.sampled_from((True, True, False))) else None,
                    is_bad=draw(rarely),
                    pin="before the audit" if draw(rarely) else "",
                    locked_until=moment + draw(st.sampled_from((DAY, 900 * DAY))) if draw(rarely) else None,
                    is_in_use=draw(rarely),
                    **whose,
                )
            )
    now = moment + draw(st.sampled_from((timedelta(0), HOUR, 3 * DAY, 900 * DAY, -HOUR, -2 * DAY, -45 * DAY, -900 * DAY)))
    return backups, tried, now


def newest_verified(backups: Iterable[Candidate], now: datetime) -> set[Candidate]:
    """Of each database, among those that are not of the future."""
    found: dict[tuple[str, str], Candidate] = {}
    for one in sorted(backups, key=lambda one: (one.finished_at, one.id)):
        if one.finished_at <= now and one.verified_at and not one.is_bad:
            found[one.environment, one.database] = one
    return set(found.values())


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), policies)
def test_the_model_decides_the_same(history: tuple[list[Candidate], list[Run], datetime], rules: Policy) -> None:
    backups, its_runs, now = history
    assert kept(decide(backups, its_runs, rules, now=now)) == model(backups, its_runs, rules, now)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 64), policies, st.sampled_from(ZONES))
def test_the_model_decides_the_same_over_years_of_nights_with_gaps(seed: int, rules: Policy, zone: str) -> None:
    random = Random(seed)
    backups: list[Candidate] = []
    tried: list[Run] = []
    moment = datetime(2022, 1, 1, tzinfo=UTC)
    for number in range(400):
        moment += random.choice((HOUR, 6 * HOUR, DAY, DAY, DAY, DAY, DAY, 2 * DAY, 45 * DAY if random.random() < 0.05 else DAY))
        fate = random.random()
        tried.append(run(moment, succeeded=fate > 0.1))
        if fate > 0.1:
            proven_at = moment + HOUR if fate > 0.3 else None
            backups.append(backup(moment, id=UUID(int=number), size_bytes=1, verified_at=proven_at, is_bad=0.3 < fate < 0.35))
    rules = replace(rules, time_zone=zone)
    for now in (moment, moment + 10 * DAY, moment - 100 * DAY):
        assert kept(decide(backups, tried, rules, now=now)) == model(backups, tried, rules, now)


@given(histories(), policies)
def test_what_is_protected_is_never_obsolete(history: tuple[list[Candidate], list[Run], datetime], rules: Policy) -> None:
    backups, its_runs, now = history
    gone = obsolete(decide(backups, its_runs, rules, now=now))

    assert not gone & newest_verified(backups, now)
    for one in gone:
        assert not one.pin
        assert not one.is_in_use
        assert one.locked_until is None or one.locked_until <= now
        assert one.finished_at <= now - timedelta(days=rules.minimum_age_days or 0)


@given(histories(), policies)
def test_each_decision_has_its_reasons(history: tuple[list[Candidate], list[Run], datetime], rules: Policy) -> None:
    backups, its_runs, now = history
    decisions = decide(backups, its_runs, rules, now=now)

    assert Counter(decision.candidate for decision in decisions) == Counter(backups)
    assert all(one.candidate.finished_at >= other.candidate.finished_at for one, other in pairwise(decisions))
    for decision in decisions:
        assert all(decision.reasons)
        assert len(set(decision.reasons)) == len(decision.reasons) >= 1
        assert decision.is_kept or len(decision.reasons) == 1


@given(histories(), policies, st.randoms(use_true_random=False))
def test_the_order_in_which_they_are_given_does_not_matter(
    history: tuple[list[Candidate], list[Run], datetime], rules: Policy, random: Random
) -> None:
    backups, its_runs, now = history
    decisions = decide(backups, its_runs, rules, now=now)
    random.shuffle(backups)
    random.shuffle(its_runs)
    assert decide(iter(backups), iter(its_runs), rules, now=now) == decisions


@given(histories(), policies)
def test_another_database_changes_no_decision(history: tuple[list[Candidate], list[Run], datetime], rules: Policy) -> None:
    backups, its_runs, now = history
    together = set(decide(backups, its_runs, rules, now=now))
    apart: set[Decision] = set()
    for whose in DATABASES:
        mine = [one for one in backups if (one.environment, one.database) == whose]
        apart |= set(decide(mine, [one for one in its_runs if (one.environment, one.database) == whose], rules, now=now))
    assert together == apart


@given(histories(), policies)
def test_pruning_again_and_again_comes_to_rest_with_the_newest_verified_alive(
    history: tuple[list[Candidate], list[Run], datetime], rules: Policy
) -> None:
    backups, its_runs, now = history
    alive, must_live = set(backups), newest_verified(backups, now)
    for _ in range(len(backups) + 1):
        decisions = decide(alive, its_runs, rules, now=now)
        assert must_live <= kept(decisions)
        if kept(decisions) == alive:
            break
        alive = kept(decisions)
    else:
        pytest.fail("it did not come to rest")


@given(histories(), policies)
def test_without_a_total_one_run_after_the_other_ends_where_one_without_a_share_would(
    history: tuple[list[Candidate], list[Run], datetime], rules: Policy
) -> None:
    backups, its_runs, now = history
    rules = replace(rules, maximum_total_bytes=None)
    alive = set(backups)
    while gone := obsolete(decide(alive, its_runs, rules, now=now)):
        alive -= gone
    assert alive == kept(decide(backups, its_runs, replace(rules, maximum_share=1.0), now=now))


@given(histories(), keep_rules, keep_rules, policies)
def test_more_rules_never_keep_less(
    history: tuple[list[Candidate], list[Run], datetime], some: dict[str, int | None], more: dict[str, int | None], rules: Policy
) -> None:
    """Before the total and the share, which take the oldest of what there is: with more kept, those are others."""
    assume(any(some.values()))
    backups, its_runs, now = history
    fewer = replace(rules, **some, maximum_total_bytes=None, maximum_share=1.0)  # type: ignore[arg-type]
    added = {rule: max(some[rule] or 0, more[rule] or 0) or None for rule in KEEP_RULES}

    assert kept(decide(backups, its_runs, fewer, now=now)) <= kept(
        decide(backups, its_runs, replace(fewer, **added), now=now)  # type: ignore[arg-type]
    )


@given(histories(), policies)
def test_a_policy_without_rules_keeps_all(history: tuple[list[Candidate], list[Run], datetime], rules: Policy) -> None:
    backups, its_runs, now = history
    none = replace(rules, **dict.fromkeys(KEEP_RULES), maximum_total_bytes=None)  # type: ignore[arg-type]
    assert kept(decide(backups, its_runs, none, now=now)) == set(backups)

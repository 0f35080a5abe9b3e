"""The verdict and its three numbers, from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from backups.admin.safety import Copy, Facts, Level, least_safe, safety_of
from backups.thresholds import Thresholds
from backups.types import Check, State

NOW = datetime(2026, 11, 22, 13, 27, tzinfo=UTC)
LIMITS = Thresholds(restore_minutes=30)
COPY = Copy(id=uuid4(), description="daily", made_at=NOW - timedelta(hours=13), verified_at=NOW - timedelta(hours=12))


def checks(**states: State) -> dict[str, Check]:
    ids = ("newest-backup", "verification", "restore-duration")
    return {id_: Check(id=id_, state=states.get(id_.replace("-", "_"), State.OK), text="") for id_ in ids}


SAFE = Facts(
    alias="default",
    database="shop",
    environment="production",
    checks=checks(),
    newest=replace(COPY, made_at=NOW - timedelta(minutes=27, seconds=40), verified_at=None),
    proven=COPY,
    last_proof_at=COPY.verified_at,
    restore_seconds=366,
    restored_at=COPY.verified_at,
    load_seconds=291,
    late_at=NOW + timedelta(hours=11),
    failed=0,
    was_any=True,
)
NOTHING = replace(
    SAFE,
    checks=checks(newest_backup=State.BAD, verification=State.BAD, restore_duration=State.UNKNOWN),
    newest=None,
    proven=None,
    last_proof_at=None,
    restore_seconds=None,
    restored_at=None,
    load_seconds=None,
    late_at=None,
    was_any=False,
)


def test_where_all_is_well_the_lead_says_what_would_be_lost_and_how_long_it_takes() -> None:
    safety = safety_of(SAFE, LIMITS, now=NOW)
    assert safety.is_ok
    assert safety.lead.replace("\xa0", " ") == (
        "If the server were lost this minute, you would lose the changes of the last 27 min and be back in about 6 min 6 s."
    )


def test_each_number_has_its_bar_and_its_two_units() -> None:
    safety = safety_of(SAFE, LIMITS, now=NOW)
    assert safety.proof.parts == [(13, "h")]
    assert safety.loss.parts == [(27, "min")]
    assert safety.back.parts == [(6, "min"), (6, "s")]
    assert (safety.proof.bar, safety.loss.bar, safety.back.bar) == (6, 4, 20)


def test_failures_are_the_reason_before_the_age_that_follows_from_them() -> None:
    facts = replace(SAFE, checks=checks(newest_backup=State.BAD), failed=2)
    assert safety_of(facts, LIMITS, now=NOW).reasons == ("The last 2 backups failed.",)


def test_an_old_backup_without_a_failure_is_told_by_its_age() -> None:
    facts = replace(SAFE, checks=checks(newest_backup=State.BAD), newest=COPY)
    assert safety_of(facts, LIMITS, now=NOW).reasons == ("The newest backup is 13\xa0h old.",)


def test_a_proof_that_is_too_old_is_not_safe() -> None:
    facts = replace(SAFE, checks=checks(verification=State.BAD), last_proof_at=NOW - timedelta(days=9, hours=13))
    safety = safety_of(facts, LIMITS, now=NOW)
    assert (safety.level, safety.proof.is_ok, safety.proof.bar) == (Level.BAD, False, 100)
    assert safety.reasons == ("Nothing has been verified for 9\xa0d\xa013\xa0h.",)


def test_a_slow_restore_is_a_red_number_but_safe() -> None:
    facts = replace(SAFE, checks=checks(restore_duration=State.BAD), restore_seconds=3600)
    safety = safety_of(facts, LIMITS, now=NOW)
    assert (safety.is_ok, safety.back.is_ok) == (True, False)


def test_a_bucket_that_is_away_is_not_safe() -> None:
    safety = safety_of(SAFE, LIMITS, asked=[Check(id="bucket-reachable", subject="b", state=State.BAD, text="")], now=NOW)
    assert (safety.level, safety.reasons) == (Level.BAD, ("The bucket could not be reached.",))


def test_where_no_bucket_is_configured_none_is_said_to_be_away() -> None:
    safety = safety_of(SAFE, LIMITS, asked=[Check(id="bucket-reachable", state=State.BAD, text="")], now=NOW)
    assert safety.reasons == ("No bucket is configured.",)


NOT_ASKED = Check(id="backup-role", subject="shop", state=State.UNKNOWN, text="no answer within 30 s")


def test_what_could_not_be_asked_is_no_yes_and_nothing_is_called_broken() -> None:
    safety = safety_of(SAFE, LIMITS, asked=[NOT_ASKED], now=NOW)
    assert (safety.level, safety.is_ok) == (Level.UNKNOWN, False)
    assert safety.reasons == ("Whether the role that makes backups can read all of shop could not be asked.",)


def test_what_is_known_to_be_bad_outweighs_what_could_not_be_asked() -> None:
    facts = replace(SAFE, alias="other", checks=checks(newest_backup=State.BAD), failed=1)
    safety = safety_of(facts, LIMITS, asked=[NOT_ASKED], now=NOW)
    assert (safety.level, safety.reasons[0]) == (Level.BAD, "The last backup failed.")
    unknown = safety_of(SAFE, LIMITS, asked=[NOT_ASKED], now=NOW)
    assert least_safe([unknown, safety]) is safety
    assert least_safe([unknown, safety_of(SAFE, LIMITS, now=NOW)]) is unknown


def test_without_any_backup_all_would_be_lost() -> None:
    safety = safety_of(NOTHING, LIMITS, now=NOW)
    assert (safety.level, safety.loss.parts) == (Level.NONE, [])
    assert safety.cost == "If the server were lost this minute, all of shop would be lost."


def test_a_restore_that_was_never_measured_is_said_to_be() -> None:
    safety = safety_of(replace(SAFE, restore_seconds=None), LIMITS, now=NOW)
    assert safety.lead.endswith("How long it takes to be back was never measured.")


def test_a_database_without_a_backup_answers_for_all() -> None:
    all_ = [safety_of(one, LIMITS, now=NOW) for one in (SAFE, replace(NOTHING, alias="other"), SAFE)]
    assert least_safe(all_).facts.alias == "other"


def test_of_two_that_are_safe_the_one_answers_that_would_lose_more() -> None:
    older = replace(SAFE, alias="other", newest=COPY)
    assert least_safe([safety_of(one, LIMITS, now=NOW) for one in (SAFE, older)]).facts.alias == "other"

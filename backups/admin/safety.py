"""Am I safe? The verdict and its three numbers, from what the history tells of one database. Nothing is asked here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backups.admin import figures
from backups.health import deciding
from backups.sentences import translated
from backups.thresholds import Thresholds
from backups.types import Check, State


class Level(StrEnum):
    """The answer, the worst last: as `deciding` has it, and NONE where no backup was made yet."""

    SAFE = "ok"
    UNKNOWN = "unknown"
    BAD = "bad"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A backup that could be restored, as far as is known. `made_at` is as of when its data is."""

    id: UUID
    description: str
    made_at: datetime
    verified_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one database. `checks` are health's of its backups, by id; `restore_seconds` is what the newest
    verification took, or the newest restore where there is none, `load_seconds` the part of it that was loading; `late_at` is
    when `newest` is too old.
    """

    alias: str
    database: str  # as it is told: with its alias where the name alone is not clear
    environment: str
    checks: dict[str, Check]
    newest: Copy | None
    proven: Copy | None
    last_proof_at: datetime | None
    is_proof_lost: bool = False  # whether what was verified is all bad by now
    restore_seconds: float | None
    restored_at: datetime | None
    load_seconds: float | None
    is_by_restore: bool = False  # and not by a verification that it was measured
    late_at: datetime | None
    failed: int  # runs in a row, up to the newest
    failure: UUID | None = None  # the newest of them
    was_any: bool  # whether a backup ever succeeded
    is_newest_bad: bool = False  # whether one that is newer than `newest` was found bad
    is_local_alone: bool = False  # whether there are backups, and each would be lost with the machine

    @property
    def option(self) -> str:
        """What a command needs to mean this database."""
        return "" if self.alias == "default" else f" --database {self.alias}"


@dataclass(frozen=True, kw_only=True)
class Number:
    """One of the three. Seconds; None where they are not known. The bar is `measured` of `limit`, 0 to 100."""

    seconds: float | None
    measured: float | None
    limit: float | None
    is_ok: bool
    is_age: bool = True

    @property
    def parts(self) -> list[tuple[int | str, str]]:
        """12 h, 57 min: an age in minutes and more, a duration in seconds, too, as every other page tells it."""
        if self.seconds is None:
            return []
        if not self.is_age:
            return figures.amounts(self.seconds)
        whole = int(self.seconds)
        return [*figures.parts(whole - whole % figures.MINUTE if whole >= figures.MINUTE else whole)]

    @property
    def bar(self) -> int:
        """In per cent of its width."""
        if self.measured is None or not self.limit:
            return 100
        return max(0, min(100, round(100 * self.measured / self.limit)))


@dataclass(frozen=True, kw_only=True)
class Safety:
    """Of one database: the answer, why it is no, and what would be lost now."""

    facts: Facts
    level: Level
    reasons: tuple[str, ...]
    proof: Number
    loss: Number
    back: Number

    @property
    def is_ok(self) -> bool:
        """Whether the answer is yes."""
        return self.level is Level.SAFE

    @property
    def cost(self) -> str:
        """What it would cost if the server were lost this minute."""
        lost = self.loss.seconds
        names = {"database": self.facts.database}
        if lost is None:
            return _("If the server were lost this minute, all of %(database)s would be lost.") % names
        names["lost"] = _("the last minute") if lost < figures.MINUTE else _("the last %(span)s") % {"span": figures.span(lost)}
        if self.back.seconds is None:
            said = _(
                "If the server were lost this minute, you would lose the changes of %(lost)s."
                " How long it takes to be back was never measured."
            )
        else:
            names["back"] = figures.duration(self.back.seconds)
            said = _("If the server were lost this minute, you would lose the changes of %(lost)s and be back in about %(back)s.")
        return said % names

    @property
    def lead(self) -> str:
        """The line under the answer."""
        return " ".join([*self.reasons, self.cost])


def safety_of(facts: Facts, limits: Thresholds, *, asked: Sequence[Check] = (), now: datetime) -> Safety:
    """`asked` are the checks, of those that servers and stores are asked for, that are about this database."""
    reasons = tuple(_reasons(facts, asked, now))
    level = Level(deciding.standing([*facts.checks.values(), *asked]))
    return Safety(
        facts=facts,
        level=level if facts.was_any else Level.NONE,
        reasons=reasons,
        proof=_proof(facts, limits, now),
        loss=_loss(facts, now),
        back=_back(facts, limits),
    )


def least_safe(all_: Sequence[Safety]) -> Safety:
    """The one that answers for all: nothing where others have something, then what is not safe, then what would lose most."""
    rank = {level: place for place, level in enumerate(Level)}
    return max(all_, key=lambda one: (rank[one.level], float("inf") if one.loss.seconds is None else one.loss.seconds))


def _reasons(facts: Facts, asked: Sequence[Check], now: datetime) -> list[str]:
    found = []
    if not facts.was_any:
        return [_("No backup of %(database)s was ever made.") % {"database": facts.database}]
    if facts.is_newest_bad:
        found.append(_("The newest backup was found bad."))
    if _is_bad(facts, "newest-backup") and (facts.failed or not facts.is_newest_bad):
        found.append(_why_old(facts, now))
    if _is_bad(facts, "verification"):
        found.append(_why_unproven(facts, now))
    return [*found, *map(translated, deciding.reasons(asked))]


def _why_old(facts: Facts, now: datetime) -> str:
    if facts.failed:
        return ngettext("The last backup failed.", "The last %(count)s backups failed.", facts.failed) % {"count": facts.failed}
    if facts.is_local_alone:
        return _("Each backup is in the local folder alone, which is lost with its machine.")
    if facts.newest is None:
        return _("There is no backup that could be restored.")
    return _("The newest backup is %(age)s old.") % {"age": figures.age(facts.newest.made_at, now=now)}


def _why_unproven(facts: Facts, now: datetime) -> str:
    if facts.is_proof_lost:
        return _("No backup is proven by a restore any more: what was proven was found bad.")
    if facts.last_proof_at is None:
        return _("No backup was ever proven by a restore.")
    return _("Nothing has been verified for %(span)s.") % {"span": figures.age(facts.last_proof_at, now=now)}


def _is_bad(facts: Facts, check: str) -> bool:
    return check in facts.checks and facts.checks[check].state is State.BAD


def _proof(facts: Facts, limits: Thresholds, now: datetime) -> Number:
    """The bar is that of the newest proof, which is what has a limit."""
    return Number(
        seconds=_since(facts.proven.made_at if facts.proven else None, now),
        measured=_since(facts.last_proof_at, now),
        limit=timedelta(days=limits.verification_age_days).total_seconds(),
        is_ok=not _is_bad(facts, "verification"),
    )


def _loss(facts: Facts, now: datetime) -> Number:
    made = facts.newest.made_at if facts.newest else None
    lost = _since(made, now)
    limit = (facts.late_at - made).total_seconds() if facts.late_at and made else None
    return Number(seconds=lost, measured=lost, limit=limit, is_ok=not _is_bad(facts, "newest-backup"))


def _back(facts: Facts, limits: Thresholds) -> Number:
    return Number(
        seconds=facts.restore_seconds,
        measured=facts.restore_seconds,
        limit=limits.restore_minutes * 60 if limits.restore_minutes else None,
        is_ok=not _is_bad(facts, "restore-duration"),
        is_age=False,
    )


def _since(moment: datetime | None, now: datetime) -> float | None:
    return max(0.0, (now - moment).total_seconds()) if moment is not None else None

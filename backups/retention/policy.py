"""The rules, what they judge, and what comes of it. Moments are aware and UTC, sizes are bytes. No Django."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

KEEP_RULES = ("keep_last", "hourly", "daily", "weekly", "monthly", "yearly")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is kept of each database. None: that rule is not there. A backup is kept if any rule keeps it.

    `keep_last` counts verified backups; the five after it count calendar periods of `time_zone` (weeks are ISO 8601's), and
    only those that have a verified backup: as restic does, a gap uses up no slot.
    https://restic.readthedocs.io/en/stable/060_forget.html#removing-snapshots-according-to-a-policy

    Nothing younger than `minimum_age_days` is obsolete. What is kept of one database is at most `maximum_total_bytes`, or what
    may not go. One run makes at most `maximum_share` of a database's backups obsolete, the bad ones first and then the oldest,
    but may always take one. While the newest `failures_that_stop` runs have failed, nothing is obsolete.

    Raises ValueError for a count below 1, a share outside of (0, 1], and a time zone that is not known.
    """

    keep_last: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    minimum_age_days: int | None = None
    maximum_total_bytes: int | None = None
    maximum_share: float = 0.5
    failures_that_stop: int = 3
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        for name in (*KEEP_RULES, "minimum_age_days", "maximum_total_bytes"):
            if getattr(self, name) is not None and not _is_count(getattr(self, name)):
                raise ValueError(f"{name} must be a whole number, 1 or more, or None; it is {getattr(self, name)!r}.")
        if not _is_count(self.failures_that_stop):
            raise ValueError(f"failures_that_stop must be a whole number, 1 or more; it is {self.failures_that_stop!r}.")
        if not isinstance(self.maximum_share, int | float) or not 0 < self.maximum_share <= 1:
            raise ValueError(f"maximum_share must be above 0 and at most 1; it is {self.maximum_share!r}.")
        try:
            _ = self.zone
        except (LookupError, ValueError, TypeError, OSError) as error:  # OSError: a folder of zones, as "Europe"
            raise ValueError(f"time_zone must be a name as Europe/Berlin; {self.time_zone!r} is not known.") from error

    @property
    def zone(self) -> ZoneInfo:
        """In which the periods are told apart."""
        return ZoneInfo(self.time_zone)

    @property
    def has_keep_rule(self) -> bool:
        """Without one every backup is kept, as far as `maximum_total_bytes` allows."""
        return any(getattr(self, name) is not None for name in KEEP_RULES)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A whole backup, as retention sees it. Its id is its own within its environment and database.

    `is_bad`: a verification said that the backup itself is bad. `pin` is the reason, "" where it is not pinned. `locked_until`
    is the store's object lock. `is_in_use`: a restore of it runs now. `cluster` is the server's system identifier, "" where the
    server hides it. `is_in_bucket`: it is not in the local folder alone, which is lost where its machine is.
    """

    id: UUID
    filename: str
    environment: str
    database: str
    finished_at: datetime
    size_bytes: int
    cluster: str = ""
    verified_at: datetime | None = None
    is_bad: bool = False
    pin: str = ""
    locked_until: datetime | None = None
    is_in_use: bool = False
    is_in_bucket: bool = False

    @property
    def is_verified(self) -> bool:
        """Proven to restore, and nothing has been said against it since."""
        return self.verified_at is not None and not self.is_bad


@dataclass(frozen=True, kw_only=True)
class Run:
    """A backup that was tried and came to an end."""

    environment: str
    database: str
    finished_at: datetime
    succeeded: bool
    cluster: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a backup is kept, and why: every rule that keeps it or, where it is obsolete, the one that decided it."""

    candidate: Candidate
    is_kept: bool
    reasons: tuple[str, ...]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1

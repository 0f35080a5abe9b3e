"""From when on a check of health is not OK: BACKUPS["HEALTH"], by name."""

from dataclasses import dataclass, fields
from typing import Any

from backups.exceptions import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The unit is in the name. None where no limit is set; the last four say what a bucket must have."""

    backup_age_hours: float = 26  # of the newest backup of a database without a schedule
    backup_grace_minutes: float = 60  # after a scheduled moment; twice the usual duration where that is longer
    verification_age_days: float = 8
    restore_minutes: float | None = None  # what the newest verification may have taken
    success_days: int = 30  # the runs of so many days are judged
    success_runs: int = 5  # where they are so many
    success_percent: int = 90
    free_backups: float = 2  # the newest backup must fit so often into the folder of copies, and into the scratch folder
    bucket_limit_bytes: int | None = None  # what the bucket may hold; a listing of the whole bucket, so only where it is set
    bucket_full_percent: int = 90
    silence_minutes: float = 5  # of the scheduler and the workers
    queued_minutes: float = 10
    clock_seconds: float = 60
    versioning: bool = True
    object_lock: bool = False
    public_access_block: bool = True
    lifecycle_rule: bool = True


_KINDS: dict[str, tuple[type, ...]] = {
    field.name: (bool,) if field.type is bool else (int,) if "int" in str(field.type) else (int, float)
    for field in fields(Thresholds)
}
_OPTIONAL = frozenset(field.name for field in fields(Thresholds) if "None" in str(field.type))
_PERCENT = 100


def parse(given: object) -> Thresholds:
    """Raises ConfigurationError for a name that is none of ours, and for a value that can't be meant."""
    if not isinstance(given, dict):
        raise ConfigurationError(
            f"BACKUPS['HEALTH'] is {given!r}; it must be a dict.", hint='For example: {"backup_age_hours": 26}'
        )
    if unknown := sorted(map(str, set(given) - set(_KINDS))):
        raise ConfigurationError(
            f"BACKUPS['HEALTH'] has no threshold named {', '.join(unknown)}.", hint=f"Known are: {', '.join(_KINDS)}."
        )
    for name, value in given.items():
        if not _is_possible(name, value):
            raise ConfigurationError(f"BACKUPS['HEALTH'][{name!r}] is {value!r}; it must be {_wanted(name)}.")
    return Thresholds(**given)


def _is_possible(name: str, value: Any) -> bool:
    if value is None:
        return name in _OPTIONAL
    if type(value) not in _KINDS[name]:
        return False
    most = _PERCENT if name.endswith("_percent") else float("inf")
    return isinstance(value, bool) or bool(0 < value <= most)


def _wanted(name: str) -> str:
    if _KINDS[name] == (bool,):
        return "true or false"
    whole = "a whole number" if _KINDS[name] == (int,) else "a number"
    most = f"above 0, {_PERCENT} at most" if name.endswith("_percent") else "above 0"
    return f"{whole} {most}{', or None' if name in _OPTIONAL else ''}"

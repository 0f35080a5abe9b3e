"""Thresholds of health: by name, and refused where they can't be meant."""

import pytest

from backups import thresholds
from backups.exceptions import ConfigurationError
from backups.thresholds import Thresholds
from ichrisbirch_site.embedded import PROJECT


def test_what_is_not_said_is_the_default() -> None:
    assert thresholds.parse({"backup_age_hours": 3, "bucket_limit_bytes": None}) == Thresholds(backup_age_hours=3)


def test_a_name_that_is_none_of_ours_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="backup_age_days") as refused:
        thresholds.parse({"backup_age_days": 1})
    assert "backup_age_hours" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backup_age_hours", 0),
        ("backup_age_hours", "26"),
        ("backup_age_hours", True),
        ("backup_age_hours", None),
        ("backup_age_hours", float("nan")),
        ("success_days", 1.5),
        ("success_percent", 101),
        ("bucket_limit_bytes", -1),
        ("versioning", 1),
        ("versioning", "false"),
    ],
)
def test_a_value_that_can_not_be_meant_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        thresholds.parse({name: value})


@pytest.mark.parametrize("given", [[], "backup_age_hours", 26])
def test_what_is_no_dict_is_refused(given: object) -> None:
    with pytest.raises(ConfigurationError, match="HEALTH"):
        thresholds.parse(given)


def test_the_documentation_has_every_threshold_with_its_default() -> None:
    documented = (PROJECT / "docs" / "health.md").read_text()
    words = {True: "true", False: "false", None: "none"}
    for name, default in vars(Thresholds()).items():
        assert f"| `{name}` | {words[default] if default is None or isinstance(default, bool) else default} |" in documented

"""Names in the bucket: what may stand in them, and that they tell the same moment both ways."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.exceptions import UsageError
from backups.storage import keys

ALLOWED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-"
descriptions = st.text(ALLOWED, min_size=1, max_size=100).filter(lambda text: re.search("[A-Za-z0-9]", text))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=offsets)


@given(descriptions)
def test_any_text_of_the_allowed_characters_makes_a_safe_part_of_a_key(description: str) -> None:
    made = keys.slug(description)

    assert re.fullmatch(r"[a-z0-9_]+(-[a-z0-9_]+)*", made)
    assert len(made) <= keys.MAX_DESCRIPTION
    assert keys.slug(made) == made


@given(st.text(min_size=1, max_size=120))
def test_any_other_text_is_refused_with_the_rule(description: str) -> None:
    if len(description) <= 100 and set(description) <= set(ALLOWED) and re.search("[A-Za-z0-9]", description):
        return
    with pytest.raises(UsageError) as refused:
        keys.slug(description)
    assert keys.DESCRIPTION_RULE in refused.value.detail
    assert len(refused.value.message) < 1500


@pytest.mark.parametrize(
    ("description", "made"),
    [
        ("pre-migration", "pre-migration"),
        ("Before The Big Change", "before-the-big-change"),
        ("  spaces  at - both ends ", "spaces-at-both-ends"),
        ("v2_final", "v2_final"),
        ("7", "7"),
        ("x" * 100, "x" * 100),
    ],
)
def test_a_description_is_lower_cased_and_hyphenated(description: str, made: str) -> None:
    assert keys.slug(description) == made


@pytest.mark.parametrize(
    "description", ["", " ", "-", "_", " - ", "x" * 101, "a/b", "..", "a\n", "a\0", "é", "a.dump", "٣", "a\u2028b", "$(id)"]
)
def test_a_description_that_would_not_be_safe_in_a_key_is_refused(description: str) -> None:
    with pytest.raises(UsageError):
        keys.slug(description)


@given(moments, descriptions, st.booleans())
def test_a_filename_tells_its_moment_in_utc(at: datetime, description: str, with_seconds: bool) -> None:
    filename = keys.filename(at=at, description=description, with_seconds=with_seconds)

    expected = at.astimezone(UTC).replace(microsecond=0)
    assert keys.started_at(filename) == (expected if with_seconds else expected.replace(second=0))
    assert keys.is_filename(filename)


@given(moments, descriptions)
def test_a_key_gives_its_environment_and_filename_back(at: datetime, description: str) -> None:
    filename = keys.filename(at=at, description=description)
    key = keys.object_key(environment="production", filename=filename)

    assert key == f"production/postgres/{filename}"
    assert keys.is_backup_key(key)
    assert not keys.is_backup_key(keys.manifest_key(key))
    assert keys.filename_of(key) == filename
    for place in (key, f"s3://bucket/{key}", f"/srv/backups/bucket/{key}", keys.manifest_key(key)):
        assert keys.split(place) == ("production", filename)
    assert keys.split(filename) == ("", filename)


@given(st.lists(st.tuples(moments, descriptions, st.booleans()), min_size=2, max_size=8))
def test_filenames_sort_by_their_moment_with_and_without_seconds(made: list[tuple[datetime, str, bool]]) -> None:
    names = [keys.filename(at=at, description=text, with_seconds=seconds) for at, text, seconds in made]

    told = [keys.started_at(name) for name in sorted(names, key=keys.sortable)]
    assert told == sorted(told, key=lambda moment: moment or datetime.min)


def test_the_example_of_the_documentation_is_made() -> None:
    at = datetime(2024, 1, 15, 14, 0, 59, tzinfo=timezone(timedelta(hours=2)))

    assert keys.filename(at=at, description="pre migration") == "backup-2024-01-15T1200-pre-migration.dump"
    assert keys.filename(at=at, description="x", with_seconds=True) == "backup-2024-01-15T120059-x.dump"


@given(at=moments, later=st.timedeltas(timedelta(minutes=-3), timedelta(minutes=3)), with_seconds=st.booleans())
def test_after_a_minute_come_its_own_filenames_and_later_ones(at: datetime, later: timedelta, with_seconds: bool) -> None:
    other = at.astimezone(UTC) + later
    is_earlier = other.replace(second=0, microsecond=0) < at.astimezone(UTC).replace(second=0, microsecond=0)
    found = keys.filename(at=other, description="x", with_seconds=with_seconds)
    assert (found > keys.before_minute(keys.filename(at=at, description="y"))) != is_earlier


def test_two_filenames_of_one_minute_are_known_as_such() -> None:
    one = "e/postgres/backup-2024-01-15T1200-a.dump"
    assert keys.same_minute(one, "e/postgres/backup-2024-01-15T120059-b.dump")
    assert not keys.same_minute(one, "e/postgres/backup-2024-01-15T1201-a.dump")


GOOD = "backup-2024-01-15T1200-x.dump"
HOSTILE = [
    "",
    "x",
    "latest",
    GOOD + "\n",
    GOOD + "\0",
    " " + GOOD,
    "../" + GOOD,
    "a/" + GOOD,
    GOOD + ".json",
    GOOD + ".partial",
    "backup-2024-01-15T1200-.dump",
    "backup-2024-01-15T1200--x.dump",
    "backup-2024-01-15T1200-x-.dump",
    "backup-2024-01-15T1200-_.dump",
    "backup-2024-01-15T1200-X.dump",
    "backup-2024-01-15T1200-a/b.dump",
    "backup-2024-01-15T1200-../../x.dump",
    "backup-2024-01-15T12-x.dump",
    "backup-2024-13-15T1200-x.dump",
    "backup-2024-02-30T1200-x.dump",
    "backup-2024-01-15T2400-x.dump",
    "backup-2024-01-15T120060-x.dump",
    "backup-0000-01-15T1200-x.dump",
    "backup-٢٠٢٤-01-15T1200-x.dump",
    f"backup-2024-01-15T1200-{'x' * 101}.dump",
]


@pytest.mark.parametrize("filename", HOSTILE)
def test_what_filename_could_not_have_made_gets_no_key(filename: str) -> None:
    assert not keys.is_filename(filename)
    assert keys.sortable(filename) == ""
    with pytest.raises(UsageError, match="not the filename of a backup"):
        keys.object_key(environment="production", filename=filename)


@pytest.mark.parametrize(
    "key",
    [
        GOOD,
        f"postgres/{GOOD}",
        f"/postgres/{GOOD}",
        f"../postgres/{GOOD}",
        f"./postgres/{GOOD}",
        f"a b/postgres/{GOOD}",
        f"a\0/postgres/{GOOD}",
        f"a/b/postgres/{GOOD}",
        f"production/mysql/{GOOD}",
        f"production/postgres/deeper/{GOOD}",
        f"production//postgres/{GOOD}",
        *(f"production/postgres/{name}" for name in HOSTILE),
    ],
)
def test_a_key_that_we_could_not_have_made_is_not_taken_for_ours(key: str) -> None:
    assert not keys.is_backup_key(key)


@given(st.text(max_size=80))
def test_no_text_at_all_makes_reading_a_name_fail(text: str) -> None:
    assert keys.is_filename(text) == (keys.started_at(text) is not None)
    assert keys.split(text)[1] == keys.filename_of(text.removesuffix(".json"))
    assert isinstance(keys.is_backup_key(text), bool)

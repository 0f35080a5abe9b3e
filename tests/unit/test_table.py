"""The list of backups as a table."""

import re
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import FrameType

import pytest
from django.core.management.base import OutputWrapper
from rich.cells import cell_len

from backups.catalog import Entry, Listing
from backups.management.table import print_listing

NEWEST = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)


class Terminal(StringIO):
    """What rich takes for one."""

    def isatty(self) -> bool:
        return True


def entries(number: int, *, name: str = "hourly", database: str = "shop") -> list[Entry]:
    """The newest first, an hour apart."""
    made = []
    for hours in range(number):
        at = NEWEST - timedelta(hours=hours)
        filename = f"backup-{at:%Y-%m-%dT%H%M}-{name}.dump"
        made.append(
            Entry(
                filename=filename,
                environment="testing",
                key=f"testing/postgres/{filename}",
                status="succeeded",
                database=database,
                started_at=at,
                size_bytes=1005,
            )
        )
    return made


def printed(listed: list[Entry], on: StringIO) -> list[str]:
    """Its lines, without colours."""
    print_listing(Listing(listed), OutputWrapper(on))
    return re.sub(r"\x1b\[[0-9;]*m", "", on.getvalue()).splitlines()


def calls(listed: list[Entry]) -> int:
    """How many functions are called to print them."""
    count = 0

    def count_calls(_frame: FrameType, event: str, _given: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(count_calls)
    try:
        printed(listed, StringIO())
    finally:
        sys.setprofile(before)
    return count


def test_a_line_takes_hundreds_of_calls_and_not_thousands() -> None:
    calls(entries(1))  # imports
    assert calls(entries(101)) - calls(entries(1)) < 100 * 400


@pytest.mark.parametrize("name", ["x" * 80, "x" * 50])
def test_a_name_that_is_too_long_goes_on_in_the_next_line_and_the_columns_stay(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("TERM", "xterm")
    lines = printed(entries(1, name=name), Terminal())
    heading, rule, first, *below = lines[: lines.index("")]

    assert below
    assert max(map(len, (heading, rule, first, *below))) <= 90
    assert heading.index("status") == first.index("succeeded")
    assert heading.index("stored") + len("stored") == first.index("1005 B") + len("1005 B")
    assert re.sub(r" .*", "", first) + "".join(below) == f"backup-2024-01-15T1200-{name}.dump"


def test_characters_that_take_two_columns_are_counted_as_two() -> None:
    lines = printed([*entries(1, database="空っぽ"), *entries(1, database="shop")], StringIO())
    ages = [line.index(" days ago") for line in lines[2:4]]
    assert "空っぽ" in lines[2]
    assert [cell_len(line[:at]) for line, at in zip(lines[2:4], ages, strict=True)] == [ages[1], ages[1]]

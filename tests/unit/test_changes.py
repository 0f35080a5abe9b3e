"""What is different between two snapshots."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.changes import Kind, alarming, compare, compare_tables
from backups.types import TableRows
from tests.integration.shelf import SNAPSHOT


def table(name: str, rows: int, size: int = 8192) -> TableRows:
    schema, _dot, table = name.rpartition(".")
    return TableRows(schema=schema or "public", table=table, rows=rows, bytes=size)


def told(before: dict[str, int], after: dict[str, int]) -> list[tuple[str, str, int]]:
    changes = compare_tables([table(*one) for one in before.items()], [table(*one) for one in after.items()])
    return [(str(change.kind), change.name, change.rows) for change in changes]


def test_what_is_gone_comes_first_then_what_has_shrunk_then_what_is_new_then_what_has_grown() -> None:
    before = {"same": 5, "grown": 5, "shrunk": 50, "more.shrunk": 50, "gone": 1, "big.gone": 70}
    after = {"same": 5, "grown": 6, "shrunk": 49, "more.shrunk": 1, "new": 3}
    assert told(before, after) == [
        ("gone", "big.gone", -70),
        ("gone", "public.gone", -1),
        ("shrunk", "more.shrunk", -49),
        ("shrunk", "public.shrunk", -1),
        ("added", "public.new", 3),
        ("grown", "public.grown", 1),
    ]


def test_a_table_of_the_same_name_in_another_schema_is_another_table() -> None:
    assert told({"shop.event": 5}, {"public.event": 5}) == [("gone", "shop.event", -5), ("added", "public.event", 5)]


def test_two_snapshots_that_are_equal_have_no_difference() -> None:
    changes = compare(SNAPSHOT, SNAPSHOT)
    assert (changes.tables, changes.unchanged, changes.migrations_added, changes.extensions_changed) == ((), 1, (), ())


def test_migrations_and_extensions_are_compared_by_name_and_version() -> None:
    before = replace(SNAPSHOT, migrations=("a.0002", "a.0001"), extensions=(("hstore", "1.8"), ("postgis", "3.3")))
    after = replace(SNAPSHOT, migrations=("a.0001", "b.0002", "b.0001"), extensions=(("citext", "1.6"), ("postgis", "3.4")))
    changes = compare(before, after)
    assert (changes.migrations_added, changes.migrations_gone) == (("b.0002", "b.0001"), ("a.0002",))
    assert changes.extensions_added == (("citext", "1.6"),)
    assert changes.extensions_gone == (("hstore", "1.8"),)
    assert changes.extensions_changed == (("postgis", "3.3", "3.4"),)


@pytest.mark.parametrize(
    ("before", "after", "is_alarming"),
    [
        (1000, 800, False),  # just the share
        (1000, 799, True),
        (1000, 1001, False),
        (9, 0, False),  # so few rows come and go
        (10, 0, True),
        (0, 5, False),
    ],
)
def test_a_shrink_is_alarming_beyond_the_share_and_from_ten_rows_on(before: int, after: int, is_alarming: bool) -> None:
    changes = compare_tables([table("t", before)], [table("t", after)])
    assert bool(alarming(changes, percent=20, least_rows=10)) is is_alarming


def test_a_table_that_is_gone_is_alarming_however_few_rows_it_had_and_a_new_one_never_is() -> None:
    changes = compare_tables([table("gone", 0)], [table("new", 0)])
    assert [change.name for change in alarming(changes, percent=20, least_rows=10)] == ["public.gone"]


TABLES = st.dictionaries(st.sampled_from(["a", "b", "c", "s.a", "s.b"]), st.integers(0, 100))


@given(before=TABLES, after=TABLES)
def test_there_and_back_is_the_opposite_and_every_table_is_told_or_counted(before: dict[str, int], after: dict[str, int]) -> None:
    one, other = (replace(SNAPSHOT, tables=tuple(table(*pair) for pair in side.items())) for side in (before, after))
    there, back = compare(one, other), compare(other, one)
    opposite = {Kind.GONE: Kind.ADDED, Kind.ADDED: Kind.GONE, Kind.SHRUNK: Kind.GROWN, Kind.GROWN: Kind.SHRUNK}
    assert {(change.name, change.rows, change.kind) for change in there.tables} == {
        (change.name, -change.rows, opposite[change.kind]) for change in back.tables
    }
    assert sum(change.rows for change in there.tables) == sum(after.values()) - sum(before.values())
    assert len(there.tables) + there.unchanged == len(set(before) | set(after))

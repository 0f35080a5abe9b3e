"""How large parts are: S3's limits hold for whatever size a backup turns out to have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.storage.parts import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES, Part, first_part_size, multipart_etag, part_size

MiB, TiB = 1 << 20, 1 << 40
LARGEST_OBJECT = 5 * TiB  # what every store with S3's protocol takes; https://docs.aws.amazon.com/general/latest/gr/s3.html
SMALLEST_PART = 5 * MiB

firsts = st.integers(8, 5 * 1024).map(lambda mebibytes: mebibytes * MiB)
limits = st.integers(1, MAX_PARTS)


@given(number=st.integers(1, MAX_PARTS), first=firsts, limit=limits)
def test_every_part_is_within_the_limits_of_s3(number: int, first: int, limit: int) -> None:
    assert SMALLEST_PART <= part_size(number, first_part_bytes=first, max_parts=limit) <= MAX_PART_BYTES


@given(number=st.integers(1, MAX_PARTS - 1), first=firsts, limit=limits)
def test_a_later_part_is_never_smaller_and_at_most_twice_as_large(number: int, first: int, limit: int) -> None:
    this, later = (part_size(n, first_part_bytes=first, max_parts=limit) for n in (number, number + 1))
    assert this <= later <= 2 * this


@given(number=st.integers(1, MAX_PARTS // 2), first=firsts)
def test_the_first_half_of_the_parts_has_one_size(number: int, first: int) -> None:
    assert part_size(number, first_part_bytes=first) == first


@pytest.mark.parametrize("expected", [0, 1, 78 << 30, LARGEST_OBJECT])
def test_ten_thousand_parts_hold_the_largest_object_whatever_was_expected(expected: int) -> None:
    first = first_part_size(expected)
    assert sum(part_size(n, first_part_bytes=first) for n in range(1, MAX_PARTS + 1)) >= LARGEST_OBJECT


@given(expected=st.integers(0, LARGEST_OBJECT), limit=st.integers(1000, MAX_PARTS))
def test_what_was_expected_fits_into_the_first_half_of_the_parts(expected: int, limit: int) -> None:
    first = first_part_size(expected, max_parts=limit)
    assert first == MAX_PART_BYTES or first * (limit // 2) >= expected


@given(expected=st.integers(0, LARGEST_OBJECT), limit=limits)
def test_the_first_size_is_whole_mebibytes_within_the_limits_of_s3(expected: int, limit: int) -> None:
    first = first_part_size(expected, max_parts=limit)
    assert first % MiB == 0
    assert MIN_PART_BYTES <= first <= MAX_PART_BYTES


@given(smaller=st.integers(0, LARGEST_OBJECT), more=st.integers(0, TiB))
def test_a_larger_backup_never_begins_with_smaller_parts(smaller: int, more: int) -> None:
    assert first_part_size(smaller) <= first_part_size(smaller + more)


def test_a_backup_of_forty_gigabytes_needs_no_more_memory_than_a_small_one() -> None:
    assert first_part_size(39 << 30) == MIN_PART_BYTES
    assert part_size(5000) == MIN_PART_BYTES


def test_the_etag_of_an_object_is_that_of_s3() -> None:
    # Of two parts, "a" and "b": the MD5 of both MD5s, one after the other, in binary; and the number of parts.
    md5s = [bytes.fromhex("0cc175b9c0f1b6a831c399e269772661"), bytes.fromhex("92eb5ffee6ae2fec3ad71c777531578f")]
    parts = [Part(number, md5.hex(), md5) for number, md5 in enumerate(md5s, 1)]
    assert multipart_etag(parts) == "96e024ba2074fe77e8e965ba43a704be-2"


def test_an_etag_that_can_not_be_an_md5_is_neither_proof_nor_suspect() -> None:
    md5 = bytes(16)
    assert Part(1, md5.hex(), md5).is_proven
    assert Part(1, "f" * 32, md5).is_suspect
    for part in (Part(1, "of the store's own", md5), Part(1, "f" * 32, md5, may_be_md5=False)):
        assert not part.is_proven
        assert not part.is_suspect

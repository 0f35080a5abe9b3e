"""Times in the answers of a store are read as boto3 reads them, only faster."""

from datetime import UTC, datetime

import pytest
from botocore.utils import parse_timestamp

from backups.storage.client import moment


@pytest.mark.parametrize(
    "told",
    [
        "2024-01-15T12:00:00.000Z",
        "2024-01-15T12:00:00Z",
        "2024-01-15T12:00:00+02:00",
        "2024-01-15T12:00:00.123456789Z",
        "Mon, 15 Jan 2024 12:00:00 GMT",
        "Mon, 15 Jan 2024 12:00:00 +0000",
        "Mon, 15 Jan 2024 12:00:00 +0200",
        "1705320000",
        1705320000,
    ],
)
def test_a_time_is_the_one_that_boto3_reads(told: str) -> None:
    assert moment(told) == parse_timestamp(told)
    assert moment(told).tzinfo is not None


def test_a_time_without_a_zone_is_left_to_boto3() -> None:
    assert moment("2024-01-15 12:00:00") == parse_timestamp("2024-01-15 12:00:00")
    assert moment("2024-01-15T12:00:00.000Z") == datetime(2024, 1, 15, 12, tzinfo=UTC)


def test_what_is_no_time_is_refused_as_boto3_refuses_it() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        moment("yesterday")

"""The names under which files are kept, in a header."""

import pytest

from backups.downloading import without_bytes
from backups.storage.attachment import disposition


@pytest.mark.parametrize(
    ("filename", "value"),
    [
        ("backup.dump", 'attachment; filename="backup.dump"'),
        ("two\r\nlines\x00.txt", 'attachment; filename="twolines.txt"'),
        ('quo"ted\\.txt', "attachment; filename=\"quoted.txt\"; filename*=UTF-8''quo%22ted%5C.txt"),
        ("Grüße.txt", "attachment; filename=\"Gre.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt"),
    ],
)
def test_any_name_is_one_line_of_ascii(filename: str, value: str) -> None:
    assert disposition(filename) == value


def test_a_key_with_line_breaks_is_answered_without_breaking_the_header() -> None:
    assert without_bytes("a\r\nSet-Cookie: b", 3)["Content-Disposition"] == 'attachment; filename="aSet-Cookie: b"'

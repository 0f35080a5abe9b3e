"""The parts of a multipart upload: how large each is, and its bytes on their way.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: parts of 5 MiB to 5 GiB, at most 10,000 of them.
"""

import base64
import hashlib
from concurrent.futures import CancelledError
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from threading import Event
from typing import Any

MIN_PART_BYTES = 8 << 20
MAX_PART_BYTES = 5 << 30
MAX_PARTS = 10_000


def part_size(number: int, *, first_part_bytes: int = MIN_PART_BYTES, max_parts: int = MAX_PARTS) -> int:
    """Bytes of part `number` (from 1). The first half of the parts has one size; then it doubles every twentieth of them.

    So memory is flat up to 40 GiB even if nobody knew the size, and 10,000 parts reach past 5 TiB.
    """
    doublings = -(-max(0, number - max_parts // 2) // max(1, max_parts // 20))
    return min(first_part_bytes << min(doublings, 40), MAX_PART_BYTES)


def first_part_size(expected_bytes: int, *, max_parts: int = MAX_PARTS) -> int:
    """A size of parts with which the expected bytes fit into the first half of them, in whole MiB."""
    needed = -(-expected_bytes // max(1, max_parts // 2))
    return min(max(MIN_PART_BYTES, -(-needed // (1 << 20)) << 20), MAX_PART_BYTES)


@dataclass(frozen=True, order=True)
class Part:
    """A part that the store has: its ETag as the store says it, and the MD5 of what was sent."""

    number: int
    etag: str
    md5: bytes
    may_be_md5: bool = True  # the ETag; with SSE-KMS it never is

    @property
    def is_proven(self) -> bool:
        """Whether the ETag says that the very bytes arrived."""
        return self.may_be_md5 and self.etag == self.md5.hex()

    @property
    def is_suspect(self) -> bool:
        """Whether the ETag looks like an MD5, yet of other bytes."""
        return self.may_be_md5 and len(self.etag) == len(self.md5.hex()) and not self.is_proven


class PartBody(RawIOBase):
    """One part's bytes, in a buffer that is as large as the part from the start: grown bit by bit, it would scatter memory.

    boto3 reads it in small pieces. So nothing is copied whole, the time-out of a slow network is that of a piece instead of a
    part, and a cancelled upload stops at the next piece. (botocore does not retry a CancelledError.)
    """

    def __init__(self, size: int, *, cancelled: Event) -> None:
        self._buffer = bytearray(size)
        self._length = 0
        self._position = 0
        self._cancelled = cancelled

    @property
    def is_empty(self) -> bool:
        """Before the first byte."""
        return self._length == 0

    @property
    def is_full(self) -> bool:
        """When the part has its size."""
        return self._length == len(self._buffer)

    def is_of(self, size: int) -> bool:
        """Whether it has room for so many bytes, neither more nor less."""
        return len(self._buffer) == size

    def emptied(self) -> "PartBody":
        """The same buffer, for another part."""
        self._length = self._position = 0
        return self

    def take(self, data: memoryview) -> int:
        """Copies as many bytes as there is room for; returns their number."""
        taken = min(len(data), len(self._buffer) - self._length)
        self._buffer[self._length : self._length + taken] = data[:taken]
        self._length += taken
        return taken

    def md5(self) -> bytes:
        """Of all its bytes."""
        return hashlib.md5(memoryview(self._buffer)[: self._length], usedforsecurity=False).digest()

    def readinto(self, into: Any, /) -> int:
        """The next bytes. Raises CancelledError once the upload is cancelled."""
        if self._cancelled.is_set():
            raise CancelledError
        given = min(len(into), self._length - self._position)
        into[:given] = memoryview(self._buffer)[self._position : self._position + given]
        self._position += given
        return given

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """As of every file: boto3 asks for the length, and begins again for another attempt."""
        self._position = offset + {SEEK_SET: 0, SEEK_CUR: self._position, SEEK_END: self._length}[whence]
        return self._position

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


def content_md5(digest: bytes) -> str:
    """As the header Content-MD5 has it."""
    return base64.b64encode(digest).decode()


def multipart_etag(parts: list[Part]) -> str:
    """What S3 gives an object of these parts: the MD5 of their MD5s, a hyphen, their number."""
    together = b"".join(part.md5 for part in parts)
    return f"{hashlib.md5(together, usedforsecurity=False).hexdigest()}-{len(parts)}"

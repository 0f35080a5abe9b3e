"""The parts of a multipart upload: how large each is, and its bytes on their way.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: parts of 5 MiB to 5 GiB, at most 10,000 of them.
"""

import base64
import hashlib
from concurrent.futures import CancelledError
from dataclasses import dataclass
from io import BytesIO
from threading import Event

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
    may_be_md5: bool = True  # the ETag; with SSE-KMS and SSE-C it never is

    @property
    def is_proven(self) -> bool:
        """Whether the ETag says that the very bytes arrived."""
        return self.may_be_md5 and self.etag == self.md5.hex()

    @property
    def is_suspect(self) -> bool:
        """Whether the ETag looks like an MD5, yet of other bytes."""
        return self.may_be_md5 and len(self.etag) == len(self.md5.hex()) and not self.is_proven


class PartBody(BytesIO):
    """One part's bytes, read by boto3 in small pieces: nothing is copied whole, the time-out of a slow network is that of a
    piece instead of a part, and a cancelled upload stops at the next piece. (botocore does not retry a CancelledError.)
    """

    def __init__(self, cancelled: Event) -> None:
        super().__init__()
        self._cancelled = cancelled

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes. Raises CancelledError once the upload is cancelled."""
        if self._cancelled.is_set():
            raise CancelledError
        return super().read(size)

    def md5(self) -> bytes:
        """Of all its bytes."""
        with self.getbuffer() as view:
            return hashlib.md5(view, usedforsecurity=False).digest()


def content_md5(digest: bytes) -> str:
    """As the header Content-MD5 has it."""
    return base64.b64encode(digest).decode()


def multipart_etag(parts: list[Part]) -> str:
    """What S3 gives an object of these parts: the MD5 of their MD5s, a hyphen, their number."""
    together = b"".join(part.md5 for part in parts)
    return f"{hashlib.md5(together, usedforsecurity=False).hexdigest()}-{len(parts)}"

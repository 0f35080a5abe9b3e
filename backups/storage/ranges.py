"""An object's bytes in order, fetched in several ranges at once: one connection alone does not fill a line to S3.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html: parallel byte-range requests.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

from backups.storage.download import pieces

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

RANGE_BYTES = 8 << 20
IN_FLIGHT = 4


def in_ranges(client: "S3Client", *, bucket: str, key: str, size_bytes: int, etag: str, attempts: int) -> Iterator[bytes]:
    """The first `size_bytes` of the object, in ranges of 8 MiB, at most four of them in memory beside the one given out.

    Every range belongs to the object with that ETag. Raises as `pieces` does.
    """
    starts = deque(range(0, size_bytes, RANGE_BYTES))
    stop = Event()

    def fetch(start: int) -> list[bytes]:
        taken = []
        end = min(start + RANGE_BYTES, size_bytes)
        for piece in pieces(client, bucket=bucket, key=key, attempts=attempts, start=start, end=end, etag=etag):
            if stop.is_set():
                raise CancelledError
            taken.append(piece)
        return taken

    waiting: deque[Future[list[bytes]]] = deque()
    with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="range") as pool:
        try:
            while starts or waiting:
                while starts and len(waiting) < IN_FLIGHT:
                    waiting.append(pool.submit(fetch, starts.popleft()))
                yield from waiting.popleft().result()
        finally:
            stop.set()
            for future in waiting:
                future.cancel()

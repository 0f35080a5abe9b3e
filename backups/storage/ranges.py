"""An object's bytes in order, fetched in several ranges at once: one connection alone does not fill a line to S3.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html: parallel byte-range requests.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from threading import Event, Thread
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
    try:
        while starts or waiting:
            while starts and len(waiting) < IN_FLIGHT:
                waiting.append(_begun(fetch, starts.popleft()))
            yield from waiting.popleft().result()
    finally:
        stop.set()


def _begun(fetch: Callable[[int], list[bytes]], start: int) -> "Future[list[bytes]]":
    """In a thread that nobody has to wait for: one that reads from a store that has fallen silent ends minutes later."""
    future: Future[list[bytes]] = Future()

    def run() -> None:
        try:
            future.set_result(fetch(start))
        except BaseException as error:  # noqa: BLE001 - raised where the range is wanted
            future.set_exception(error)

    Thread(target=run, daemon=True, name="range").start()
    return future

"""An object's bytes, over a connection that may break: what is missing is asked for again, from where it broke.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html: Range and If-Match.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
from urllib3.exceptions import HTTPError

from backups.exceptions import ChecksumError, StorageError
from backups.storage.errors import PRECONDITION_FAILED, code_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PIECE_BYTES = 1 << 20
LONGEST_PAUSE = 20.0


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 0.1, 0.2, 0.4 … 20."""
    return min(0.1 * 2.0 ** (failures - 1), LONGEST_PAUSE)


def pieces(
    client: "S3Client",
    *,
    bucket: str,
    key: str,
    attempts: int,
    start: int = 0,
    end: int | None = None,
    etag: str = "",
    on_etag: Callable[[str], None] = lambda _etag: None,
) -> Iterator[bytes]:
    """The object from `start` to before `end`, piece by piece, of 1 MiB at most. Every piece belongs to the object with that
    ETag, or to the one that was there at the start; `on_etag` is told it with each answer.

    Raises ChecksumError when another object takes its place meanwhile, and boto3's errors: of a request, or of the last of
    `attempts` connections in a row that broke within a piece.
    """
    position, failures = start, 0
    while True:
        answer = _rest(client, bucket=bucket, key=key, position=position, end=end, etag=etag)
        etag = etag or answer.get("ETag", "")
        on_etag(etag)
        try:
            with closing(answer["Body"]) as body:
                for piece in body.iter_chunks(PIECE_BYTES):
                    position += len(piece)
                    if len(piece) == PIECE_BYTES:
                        failures = 0
                    yield piece
                return
        except (HTTPClientError, IncompleteReadError, HTTPError) as error:
            failures += 1
            if failures >= attempts:
                raise ResponseStreamingError(error=error) from error
            time.sleep(pause(failures))


def _rest(client: "S3Client", *, bucket: str, key: str, position: int, end: int | None, etag: str) -> Any:
    """The answer to a GET of everything from a position on, proven to be of the same object where that has begun."""
    wanted: dict[str, Any] = {"IfMatch": etag} if etag else {}
    if position or end is not None:
        wanted["Range"] = f"bytes={position}-{end - 1 if end is not None else ''}"
    try:
        answer = client.get_object(Bucket=bucket, Key=key, **wanted)
    except ClientError as error:
        if etag and code_of(error) in PRECONDITION_FAILED:
            raise _replaced(bucket, key) from error
        raise
    if etag and answer.get("ETag") != etag:  # a store that does not know If-Match
        answer["Body"].close()
        raise _replaced(bucket, key)
    if "Range" in wanted and not answer.get("ContentRange", "").startswith(f"bytes {position}-"):
        answer["Body"].close()
        raise StorageError(
            f"The connection broke in s3://{bucket}/{key}, and the store does not continue from byte {position:,}.",
            hint="Try again; the store gives whole objects only.",
        )
    return answer


def _replaced(bucket: str, key: str) -> ChecksumError:
    return ChecksumError(
        f"The object s3://{bucket}/{key} was replaced while it was being read.",
        hint="Find out who writes there; backups are never written twice. Then try again.",
    )

"""Makes a bucket, for a store of one's own. On Amazon its owner makes it, with what docs/bucket.md asks for."""

from backups.storage.client import Clients
from backups.storage.errors import FAILURES, code_of, explained
from backups.types import StoreOptions


def make_bucket(options: StoreOptions) -> bool:
    """Makes the bucket where it is not there; tells whether it was not. Raises BucketError and StorageError."""
    client = Clients(options).quick
    try:
        try:
            client.list_objects_v2(Bucket=options.bucket, MaxKeys=1)
        except FAILURES as error:
            if code_of(error) not in ("NoSuchBucket", "404"):
                raise
            client.create_bucket(Bucket=options.bucket)
            return True
    except FAILURES as error:
        raise explained(error, doing=f"make the bucket {options.bucket}", options=options) from error
    return False

"""Makes the bucket of the settings, where it is not there: `python -m ichrisbirch_site.bucket`, for a store of one's own.

On Amazon make it yourself, with what docs/bucket.md asks for; it is then left as it is.
"""

import os
import sys
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from backups import conf
from backups.types import StoreOptions

ATTEMPTS = 10  # the store may be starting just now


def main() -> int:
    """Exit code 0 when the bucket is there."""
    import django

    django.setup()
    options = conf.store_options()
    assert options is not None  # production does not start without a bucket
    try:
        made = make(options)
    except (ClientError, BotoCoreError) as error:
        sys.stderr.write(f"The bucket {options.bucket} could not be made: {error}\n")
        return 1
    sys.stdout.write(f"The bucket {options.bucket} {'was made' if made else 'is there'}.\n")
    return 0


def make(options: StoreOptions) -> bool:
    """Whether it had to be made. Raises botocore's errors."""
    style: Any = options.addressing_style or "auto"
    client = boto3.client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key,
        config=Config(retries={"total_max_attempts": ATTEMPTS, "mode": "standard"}, s3={"addressing_style": style}),
    )
    try:
        client.head_bucket(Bucket=options.bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=options.bucket)
        return True
    return False


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")
    sys.exit(main())

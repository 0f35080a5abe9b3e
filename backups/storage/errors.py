"""What a store says, in our words: cause, what was seen, what to do."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    SSLError,
)

from backups.exceptions import BucketError, StorageError
from backups.types import StoreOptions

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
# code -> (what happened, what to do); https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_REASONS = {
    "NoSuchBucket": ("The bucket {bucket} does not exist", "Create it, or correct AWS_S3_BACKUP_BUCKET."),
    "AccessDenied": (
        "The store denies access to the bucket {bucket}",
        "Check the policy of these credentials; docs name the least one.",
    ),
    "403": ("The store denies access to the bucket {bucket}", "Check the policy of these credentials."),
    "AllAccessDisabled": ("The store denies access to the bucket {bucket}", "Check the account with the store."),
    "InvalidAccessKeyId": ("The store does not know this access key", "Check AWS_ACCESS_KEY_ID."),
    "SignatureDoesNotMatch": ("The store does not accept the secret key", "Check AWS_SECRET_ACCESS_KEY."),
    "ExpiredToken": ("The credentials have expired", "Renew them."),
    "RequestTimeTooSkewed": (
        "This machine's clock differs from the store's",
        "Set the clock (timedatectl status), then try again.",
    ),
    "PermanentRedirect": ("The bucket {bucket} is in another region", "Correct AWS_REGION and AWS_ENDPOINT_URL_S3."),
    "301": ("The bucket {bucket} is in another region", "Correct AWS_REGION and AWS_ENDPOINT_URL_S3."),
    "AuthorizationHeaderMalformed": ("The region {region} is not the bucket's", "Correct AWS_REGION."),
    "SlowDown": ("The store asks to slow down, and did so at every attempt", "Try again later."),
    "ServiceUnavailable": ("The store is not available", "Try again later."),
    "QuotaExceeded": ("The bucket {bucket} is full", "Make room or raise its quota."),
    "EntityTooLarge": ("The store does not take objects of this size", "Check the store's limits."),
}


def code_of(error: Exception) -> str:
    """The store's error code; empty for what came from elsewhere."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_missing(error: Exception) -> bool:
    """Whether the store says that the object or upload is not there. A missing bucket is something else."""
    return code_of(error) in _MISSING


def explained(error: ClientError | BotoCoreError, *, doing: str, options: StoreOptions) -> StorageError:
    """The error to raise for one of boto3's. No secret is in it: boto3 puts none into its messages."""
    seen = f"Tried to {doing}: {error}"
    where = options.endpoint_url or f"S3 in {options.region}"
    code = code_of(error)
    if code in _REASONS:
        message, hint = _REASONS[code]
        kind = BucketError if code not in ("SlowDown", "ServiceUnavailable") else StorageError
        return kind(message.format(bucket=options.bucket, region=options.region) + ".", detail=seen, hint=hint)
    if isinstance(error, NoCredentialsError):
        return BucketError(
            "There are no credentials for the store.", detail=seen, hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, SSLError):
        return BucketError(
            f"No TLS connection to {where} came about.", detail=seen, hint="Check the certificate and the endpoint."
        )
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return BucketError(
            f"The store at {where} can't be reached.", detail=seen, hint="Check AWS_ENDPOINT_URL_S3 and the network."
        )
    if isinstance(error, ConnectionError | HTTPClientError):
        return StorageError(
            f"The connection to {where} broke off.", detail=seen, hint="Try again; if it lasts, look at the store."
        )
    return StorageError("The store did not do what was asked.", detail=seen, hint=f"Look at the store at {where}.")

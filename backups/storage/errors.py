"""What a store says, in our words: cause, what was seen, what to do."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from backups.exceptions import BucketError, StorageError
from backups.types import StoreOptions

# Everything that a call of boto3's raises when it does not succeed. A ResponseParserError is no BotoCoreError.
FAILURES = (ClientError, BotoCoreError, ResponseParserError)
Failure = ClientError | BotoCoreError | ResponseParserError
PRECONDITION_FAILED = frozenset({"PreconditionFailed", "412"})
DENIED = frozenset({"AccessDenied", "403", "AllAccessDisabled"})
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
# It may work in a moment; the bucket itself is not at fault. `_PASSING_STATUS` is for stores with codes of their own.
_PASSING_STATUS = frozenset({500, 502, 503, 504})
_PASSING = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "ConditionalRequestConflict"}
    | {str(status) for status in _PASSING_STATUS}
)
_POLICY = ("The store denies access to the bucket {bucket}", "Check the policy of these credentials; docs name the least one.")
_REGION = ("The bucket {bucket} is in another region, or at another address", "Correct AWS_REGION and AWS_ENDPOINT_URL_S3.")
_NO_STORE = ("No S3 store answers at {where}, or one in trouble", "Check AWS_ENDPOINT_URL_S3, then look at the store.")
_BUSY = ("The store is not available", "Try again later; if it lasts, look at the store.")
# code -> (what happened, what to do); https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_REASONS = {
    "NoSuchBucket": ("The bucket {bucket} does not exist", "Create it, or correct AWS_S3_BACKUP_BUCKET."),
    "InvalidBucketName": ("{bucket} is not the name of a bucket", "Correct AWS_S3_BACKUP_BUCKET."),
    "AccessDenied": _POLICY,
    "403": _POLICY,
    "AllAccessDisabled": ("The store denies access to the bucket {bucket}", "Check the account with the store."),
    "InvalidAccessKeyId": ("The store does not know this access key", "Check AWS_ACCESS_KEY_ID."),
    "SignatureDoesNotMatch": ("The store does not accept the secret key", "Check AWS_SECRET_ACCESS_KEY."),
    "ExpiredToken": ("The credentials have expired", "Renew them."),
    "InvalidToken": ("The store does not accept the session token", "Renew it, or correct AWS_SESSION_TOKEN."),
    "RequestTimeTooSkewed": (
        "This machine's clock differs from the store's",
        "Set the clock (timedatectl status), then try again.",
    ),
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "302": _REGION,
    "307": _REGION,
    "308": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "AuthorizationHeaderMalformed": ("The region {region} is not the bucket's", "Correct AWS_REGION."),
    "NoSuchUpload": (
        "Somebody else ended the upload into the bucket {bucket}",
        "Look for a lifecycle rule or a script that aborts uploads, then make the backup again.",
    ),
    "InvalidObjectState": ("The object lies in an archive of the store", "Have the store bring it back, then try again."),
    "ConditionalRequestConflict": ("Something else was written at the same key at the same time", "Try again."),
    "SlowDown": ("The store asks to slow down, and did so at every attempt", "Try again later."),
    "ServiceUnavailable": _BUSY,
    "503": _BUSY,
    "500": _NO_STORE,
    "502": _NO_STORE,
    "504": _NO_STORE,
    "InternalError": ("The store reports an error of its own", "Try again later; if it lasts, look at the store."),
    "QuotaExceeded": ("The bucket {bucket} is full", "Make room or raise its quota."),
    "EntityTooLarge": ("The store does not take objects of this size", "Check the store's limits."),
}
# botocore's own errors, the narrower ones first: (kind, what happened, what to do)
_TROUBLES: tuple[tuple[tuple[type[Exception], ...], type[StorageError], str, str], ...] = (
    (
        (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError),
        BucketError,
        "There are no credentials for the store",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ),
    ((ProfileNotFound,), BucketError, "The profile of the credentials does not exist", "Correct AWS_PROFILE."),
    (
        (ParamValidationError,),
        BucketError,
        "The settings of the bucket {bucket} can't be used",
        'Correct AWS_S3_BACKUP_BUCKET and the options of STORAGES["backups"].',
    ),
    ((ResponseParserError,), BucketError, *_NO_STORE),
    ((SSLError,), BucketError, "No TLS connection to {where} came about", "Check the certificate and the endpoint."),
    ((ProxyConnectionError,), BucketError, "The proxy before {where} can't be reached", "Check HTTPS_PROXY and HTTP_PROXY."),
    (
        (EndpointConnectionError, ConnectTimeoutError),
        BucketError,
        "The store at {where} can't be reached",
        "Check AWS_ENDPOINT_URL_S3 and the network.",
    ),
    (
        (ConnectionError, HTTPClientError, IncompleteReadError),
        StorageError,
        "The connection to {where} broke off",
        "Try again; if it lasts, look at the store.",
    ),
)


def code_of(error: Exception) -> str:
    """The store's error code; empty for what came from elsewhere."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_missing(error: Exception) -> bool:
    """Whether the store says that the object or upload is not there. A missing bucket is something else."""
    return code_of(error) in _MISSING


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed in a moment: no answer, or one that means "not now"."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return code_of(error) in _PASSING or status in _PASSING_STATUS
    return isinstance(error, ConnectionError | HTTPClientError)


def explained(error: Failure, *, doing: str, options: StoreOptions) -> StorageError:
    """The error to raise for one of boto3's. No secret is in it: boto3 puts none into its messages."""
    where = options.endpoint_url or f"S3 in {options.region}"
    kind, message, hint = _reason(error)
    return kind(
        message.format(bucket=options.bucket, region=options.region, where=where) + ".",
        detail=f"Tried to {doing}: {error}",
        hint=hint.format(where=where),
    )


def _reason(error: Failure) -> tuple[type[StorageError], str, str]:
    if (code := code_of(error)) in _REASONS:
        return (StorageError if code in _PASSING else BucketError, *_REASONS[code])
    for classes, kind, message, hint in _TROUBLES:
        if isinstance(error, classes):
            return kind, message, hint
    return StorageError, "The store did not do what was asked", "Look at the store at {where}."

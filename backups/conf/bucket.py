"""STORAGES["backups"], an S3Storage of django-storages, as a backup may use it."""

from typing import Any

from django.conf import settings
from django.core.files.storage import storages

from backups.conf.ours import current
from backups.exceptions import ConfigurationError
from backups.sentences import sentence as _
from backups.types import StoreOptions


def store_options() -> StoreOptions | None:
    """How to reach the bucket: STORAGES["backups"], an S3Storage of django-storages. None when no bucket is named."""
    if "backups" not in settings.STORAGES:
        return None
    try:
        storage: Any = storages["backups"]
    except Exception as error:  # django-storages raises what it likes for settings that don't fit
        raise ConfigurationError(
            _('STORAGES["backups"] can\'t be used.'),
            detail=str(error),
            hint=_("Correct it in the settings: its OPTIONS are those of django-storages' S3Storage."),
        ) from error
    if not hasattr(storage, "client_config"):
        raise ConfigurationError(
            _('STORAGES["backups"] is a {name}; backups need storages.backends.s3.S3Storage.', name=type(storage).__name__),
            hint=_("To keep local copies only, leave it out or give it no bucket_name, and set BACKUPS['LOCAL_FOLDER']."),
        )
    if not storage.bucket_name:
        return None
    if storage.location:
        raise ConfigurationError(
            _('STORAGES["backups"] sets a location, which backups do not use: their keys begin with the environment.'),
            hint=_("Remove the option `location`, or give backups a bucket of their own."),
        )
    config = storage.client_config
    s3 = getattr(config, "s3", None) or {}
    attempts = (getattr(config, "retries", None) or {}).get("total_max_attempts")
    return StoreOptions(
        bucket=storage.bucket_name,
        endpoint_url=storage.endpoint_url,
        region=storage.region_name,
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        session_token=storage.security_token,
        profile=storage.session_profile,
        addressing_style=s3.get("addressing_style"),
        signature_version=getattr(config, "signature_version", None),
        verify=storage.verify,
        proxies=tuple(sorted((storage.proxies or {}).items())),
        object_parameters=_object_parameters(storage.object_parameters or {}),
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        max_parts=current().s3_max_parts,
        **({"attempts": attempts} if attempts else {}),
    )


def _object_parameters(given: dict[str, object]) -> tuple[tuple[str, object], ...]:
    # The store keeps no such key, so it would be needed again for every part, HEAD and GET; and whoever restores may not have it.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
    if refused := sorted(name for name in given if name.startswith("SSECustomer")):
        raise ConfigurationError(
            _(
                'The object_parameters of STORAGES["backups"] set {refused}; backups do not work with keys of your own (SSE-C).',
                refused=", ".join(refused),
            ),
            hint=_('Let the store keep the key: {"ServerSideEncryption": "AES256"} is SSE-S3, "aws:kms" is SSE-KMS.'),
        )
    return tuple(sorted(given.items()))

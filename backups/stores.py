"""The stores that the settings name."""

from dataclasses import dataclass

from backups import conf
from backups.exceptions import ConfigurationError
from backups.storage.local import LocalStore
from backups.storage.s3 import S3Store

LOCAL_BUCKET = "local"  # the folder's part where no bucket is configured


@dataclass(frozen=True)
class Stores:
    """The bucket and the local folder; None for what is not configured."""

    s3: S3Store | None
    local: LocalStore | None

    def require_s3(self) -> S3Store:
        """The bucket. Raises ConfigurationError when none is named."""
        if self.s3 is None:
            raise ConfigurationError(
                "No bucket is configured.", hint="Set AWS_S3_BACKUP_BUCKET, or use --skip-upload --save-local."
            )
        return self.s3

    def require_local(self) -> LocalStore:
        """The local folder. Raises ConfigurationError when none is named."""
        if self.local is None:
            raise ConfigurationError("No folder for local copies is configured.", hint="Set BACKUPS_LOCAL_FOLDER.")
        return self.local


def configured() -> Stores:
    """The stores as the settings are now. Nothing is opened yet."""
    settings, options = conf.current(), conf.store_options()
    bucket = options.bucket if options else LOCAL_BUCKET
    return Stores(
        s3=S3Store(options) if options else None,
        local=LocalStore(settings.local_folder / bucket) if settings.local_folder else None,
    )


def secrets() -> list[str]:
    """Texts that must never be shown: for scrubbing by value."""
    settings, options = conf.current(), conf.store_options()
    found = [settings.signing_key.decode(errors="replace")]
    if options is not None:
        found += [secret for secret in (options.secret_key, options.session_token) if secret]
    return [secret for secret in found if secret]

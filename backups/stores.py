"""The stores that the settings name, and what in the settings must never be shown."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from django.conf import settings as django_settings
from django.db import connections

from backups import conf, history
from backups.exceptions import BackupsError, ConfigurationError
from backups.notifications import secrecy
from backups.sentences import sentence as _
from backups.storage import keys
from backups.storage.local import LocalStore
from backups.storage.s3 import S3Store
from backups.storage.store import Store
from backups.types import Server, StoreOptions

LOCAL_BUCKET = "local"  # the folder's part where no bucket is configured
# In every text, three letters are found by chance: scrubbed by value, they would leave nothing but stars of an error, and the
# stars would tell the secret. What is so short protects nothing anyway.
SHORTEST_SECRET = 4
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
SECRET_PARAMETERS = ("password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")

# What somebody waits for at a screen: a store that says nothing is told after two times the time of reading. A second attempt
# there must be, as a connection that was kept may have been closed by the other side.
PAGE_ATTEMPTS, PAGE_CONNECT_SECONDS, PAGE_READ_SECONDS = 2, 3.0, 6.0

_is_for_a_page: ContextVar[bool] = ContextVar("is_for_a_page", default=False)
_kept: list[S3Store] = []  # one at most: that of the last page
os.register_at_fork(after_in_child=_kept.clear)  # a connection belongs to the process that has made it


@dataclass(frozen=True)
class Stores:
    """The bucket and the local folder; None for what is not configured."""

    s3: S3Store | None
    local: LocalStore | None

    def require_s3(self) -> S3Store:
        """The bucket. Raises ConfigurationError when none is named."""
        if self.s3 is None:
            raise ConfigurationError(
                _("No bucket is configured."), hint=_("Set AWS_S3_BACKUP_BUCKET, or use --skip-upload --save-local.")
            )
        return self.s3

    def require_local(self) -> LocalStore:
        """The local folder. Raises ConfigurationError when none is named."""
        if self.local is None:
            raise ConfigurationError(_("No folder for local copies is configured."), hint=_("Set BACKUPS_LOCAL_FOLDER."))
        return self.local


def configured() -> Stores:
    """The stores as the settings are now. Nothing is opened yet."""
    settings, options = conf.current(), conf.store_options()
    bucket = options.bucket if options else LOCAL_BUCKET
    return Stores(
        s3=_bucket(options) if options else None,
        local=_local(settings.local_folder / bucket, settings.environment) if settings.local_folder else None,
    )


@contextmanager
def for_a_page() -> Iterator[None]:
    """Inside, `configured` gives a bucket for somebody who looks and waits: it is asked with little patience, and its client is
    the last page's where the settings are the same (making one anew takes 60 ms, more than most pages). What must be brought to
    its end once it has begun asks for a `patient` one.
    """
    token = _is_for_a_page.set(True)
    try:
        yield
    finally:
        _is_for_a_page.reset(token)


def patient(store: Store) -> Store:
    """The same store, asked as long as the settings say, on a page too. What is given up in the middle may still be carried out
    after the store has said how things stand. Raises ConfigurationError.
    """
    options = conf.store_options()
    if options is None or not isinstance(store, S3Store) or store.options == options:
        return store
    return S3Store(options, has_answered=True)


def _bucket(options: StoreOptions) -> S3Store:
    if not _is_for_a_page.get():
        return S3Store(options)
    options = replace(
        options,
        attempts=min(options.attempts, PAGE_ATTEMPTS),
        connect_timeout=min(options.connect_timeout, PAGE_CONNECT_SECONDS),
        read_timeout=min(options.read_timeout, PAGE_READ_SECONDS),
    )
    for store in _kept:
        if store.options == options:
            return store
    store = S3Store(options)
    if options.access_key and options.secret_key:  # any others are found by boto3, and may be others at the next look
        _kept[:] = [store]
    return store


def _local(base: Path, environment: str) -> LocalStore:
    """Only this environment's history vouches for the folder: a copy of another's may have come from another machine. It is asked
    once: of ten thousand backups that takes longer than all the rest of a look into the folder.
    """
    return LocalStore(base, remembered=cache(lambda: history.local_paths(below=f"{base}/{keys.prefix(environment)}")))


def secrets(*servers: Server) -> list[str]:
    """Texts that must never be shown, for scrubbing by value: of the settings, of every alias in DATABASES, and of further
    servers. For failures only: it reads everything anew. Raises nothing, so that the failure is told."""
    found = {*_of_settings(), *_of_bucket(), *_of_databases(), *_of_receivers()}
    for server in servers:
        found |= {server.password, *_of_parameters(dict(server.options))}
    return sorted(secret for secret in found if len(secret) >= SHORTEST_SECRET)


def _of_settings() -> Iterator[str]:
    with suppress(BackupsError):
        settings = conf.current()
        for key in (settings.signing_key, *settings.signing_key_fallbacks):
            yield key.decode(errors="replace")
        yield settings.metrics_token


def _of_bucket() -> Iterator[str]:
    with suppress(BackupsError):
        options = conf.store_options()
        if options is not None:
            yield from (options.access_key or "", options.secret_key or "", options.session_token or "")
            for url in (options.endpoint_url or "", *dict(options.proxies).values()):
                yield from _of_url(url)


def _of_databases() -> Iterator[str]:
    for given in connections.settings.values():
        yield str(given.get("PASSWORD") or "")
        yield from _of_parameters(given.get("OPTIONS") or {})


def _of_receivers() -> Iterator[str]:
    yield str(django_settings.EMAIL_HOST_PASSWORD or "")
    with suppress(BackupsError):
        yield from secrecy.secrets()


def _of_parameters(given: Mapping[str, object]) -> Iterator[str]:
    yield from (str(given[name] or "") for name in SECRET_PARAMETERS if name in given)


def _of_url(url: str) -> Iterator[str]:
    """The password in http://user:password@host, as it is and as it is written; the scheme may be missing. A password that
    should be encoded and is not (urlsplit raises for some) is found all the same."""
    account = url.rpartition("@")[0]
    password = (account.partition("://")[2] or account).partition(":")[2]
    yield from (password, unquote(password))

"""boto3's clients for one bucket, with as much patience as the moment asks for."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.utils import parse_timestamp

from backups.exceptions import BucketError
from backups.types import StoreOptions

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SLOWEST_ANSWER = 5  # times the read timeout: completing, a store may have to copy every part


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long (seconds) a request is tried. The pauses between are boto3's: 0.05 s, or 1 s when the store asks
    to slow down, doubled at each attempt up to 20 s, and shortened at random.

    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html
    """

    attempts: int
    connect_timeout: float  # also for each block that is sent: urllib3 has one time-out for both
    read_timeout: float


class Clients:
    """Makes each client once, when it is needed, all from one session, which reads the description of S3 (50 ms) only once.

    A client of boto3's may be used by many threads; a session, and so making clients, by one at a time.

    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
    """

    def __init__(self, options: StoreOptions, *, has_answered: bool = False) -> None:
        self._options = options
        self._clients: dict[Patience, S3Client] = {}
        self._session: boto3.session.Session | None = None
        self._lock = Lock()
        self._has_answered = has_answered

    @property
    def steady(self) -> "S3Client":
        """For nearly everything: quick until the store has answered anything at all, so that a wrong endpoint is said in
        seconds; patient from then on, so that a backup outlives a minute without a store."""
        if not self._has_answered:
            return self.quick
        given = self._options
        return self._client(
            Patience(attempts=given.attempts, connect_timeout=given.connect_timeout, read_timeout=given.read_timeout)
        )

    @property
    def quick(self) -> "S3Client":
        """Gives up within seconds: for first looks, and for tidying after a failure."""
        given = self._options
        return self._client(
            Patience(
                attempts=min(3, given.attempts),
                connect_timeout=min(4, given.connect_timeout),
                read_timeout=min(10, given.read_timeout),
            )
        )

    @property
    def once(self) -> "S3Client":
        """Asks one time and waits long: for what must not be repeated blindly."""
        given = self._options
        return self._client(
            Patience(attempts=1, connect_timeout=given.connect_timeout, read_timeout=SLOWEST_ANSWER * given.read_timeout)
        )

    def _client(self, patience: Patience) -> "S3Client":
        with self._lock:
            if patience not in self._clients:
                self._session = self._session or _new_session(self._options)
                self._clients[patience] = client = _new_client(self._session, self._options, patience)
                client.meta.events.register("after-call.s3", self._hear)
                client.meta.events.register("before-call.s3.HeadBucket", cast(Any, _do_not_ask))
            return self._clients[patience]

    def _hear(self, *, http_response: Any, **_call: Any) -> None:
        self._has_answered = self._has_answered or http_response.status_code < 500


def _do_not_ask(**_call: Any) -> tuple[Any, dict[str, Any]]:
    """The answer to HeadBucket, which botocore asks when it is redirected and not told where to. Where the answer is a redirect
    again (a web server that sends http to https is enough), it would ask until the stack is full; so it hears "not known".
    """
    return SimpleNamespace(status_code=404), {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPHeaders": {}}}


@cache
def _descriptions(path: str | None) -> Loader:
    """Amazon's descriptions of its services, which don't change: read once in a process, for all stores. (A session is not
    shared by stores, because it would keep credentials that were changed meanwhile.)"""
    return create_loader(path)


def _new_session(options: StoreOptions) -> boto3.session.Session:
    """With credentials of its own where the options have them: then nothing else is asked for any, no file and no address."""
    botocore_session = botocore.session.get_session()
    session = boto3.session.Session(
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key,
        aws_session_token=options.session_token,
        region_name=options.region,
        botocore_session=botocore_session,
        profile_name=options.profile,
    )
    # Only now: boto3 adds a path to the loader that it finds, and would do so again for every session.
    botocore_session.register_component("data_loader", _descriptions(botocore_session.get_config_variable("data_path")))
    botocore_session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
    return session


def moment(told: Any) -> datetime:
    """A time as S3 writes it: 2024-01-15T12:00:00.000Z in a listing, Mon, 15 Jan 2024 12:00:00 GMT in a header. boto3 would try
    what else it might mean, which takes two thirds of the reading of a listing.
    """
    if isinstance(told, str):
        with suppress(ValueError):
            return datetime.fromisoformat(told) if told.endswith("Z") else parsedate_to_datetime(told)
    parsed: datetime = parse_timestamp(told)
    return parsed


def _new_client(session: boto3.session.Session, options: StoreOptions, patience: Patience) -> "S3Client":
    config = Config(
        s3=cast(Any, {"addressing_style": options.addressing_style} if options.addressing_style else None),
        # As it is by itself, but for presigned addresses, which would get the old signature that many stores don't take any more.
        signature_version=options.signature_version or "s3v4",
        proxies=dict(options.proxies) or None,
        connect_timeout=patience.connect_timeout,
        read_timeout=patience.read_timeout,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        max_pool_connections=16,
        # The default sends checksums in trailers, which many S3-compatible stores answer with an error. Content-MD5 and the
        # ETag do the same work here. https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return session.client("s3", endpoint_url=options.endpoint_url, verify=options.verify, config=config)
    except ValueError as error:  # botocore's word for an endpoint that is no URL
        raise BucketError(
            f"The endpoint {options.endpoint_url} is not an address.", detail=str(error), hint="Correct AWS_ENDPOINT_URL_S3."
        ) from error

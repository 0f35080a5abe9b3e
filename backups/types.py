"""The nouns that travel between the rooms: frozen, typed, without behaviour that touches the outside."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

# The first part of every key. Without dots and slashes, so that no key and no path leaves its place.
ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a database is and how to reach it. `options` are further libpq parameters (sslmode, sslrootcert, …).

    What is not said ("" or 0) is libpq's to choose: PGHOST, else its Unix socket; PGPORT, else 5432; and so on. It is another
    place than localhost, where a second cluster may listen.
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # sslpassword is one

    @property
    def address(self) -> str:
        """How people name it: user@host:port/database; without what is not said, and "socket" where that is the host."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host or "socket"
        port = f":{self.port}" if self.port else ""
        return f"{user}{host}{port}/{self.database}"


@dataclass(frozen=True, kw_only=True, order=True)
class TableRows:
    """One table in a snapshot. `bytes` is its heap with TOAST, without indexes; `fingerprint` is 16 hex digits that depend on
    every row and not on their order, or empty where none was taken.
    """

    schema: str
    table: str
    rows: int
    bytes: int
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """schema.table, as people read it; not quoted for SQL."""
        return f"{self.schema}.{self.table}"

    def fields(self) -> dict[str, str | int]:
        """As manifest and history write it: without a fingerprint where none was taken."""
        told: dict[str, str | int] = {"schema": self.schema, "table": self.table, "rows": self.rows, "bytes": self.bytes}
        return told | {"fingerprint": self.fingerprint} if self.fingerprint else told


@dataclass(frozen=True, kw_only=True)
class Locale:
    """By which rules a database sorts and classifies characters.

    https://www.postgresql.org/docs/current/catalog-pg-database.html: `provider` is c (libc), i (ICU) or b (builtin); `name` is
    the locale of the last two, empty with libc.
    """

    provider: str = "c"
    collate: str
    ctype: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a database held at one instant, seen in one transaction."""

    tables: tuple[TableRows, ...]
    database_size_bytes: int
    server_version: str
    server_version_num: int
    system_identifier: str
    encoding: str
    locale: Locale
    extensions: tuple[tuple[str, str], ...]  # name, version
    migrations: tuple[str, ...]  # "app.0001_name", where the database is Django's
    roles: tuple[str, ...]  # roles that own or are granted something in this database

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def table_bytes(self) -> int:
        """Bytes of all tables, without indexes."""
        return sum(table.bytes for table in self.tables)


@dataclass(frozen=True, kw_only=True, order=True)
class Objects:
    """What an archive has of one kind ("INDEX", "FUNCTION": pg_restore's words). `names` is empty where they were too many."""

    kind: str
    count: int
    names: tuple[str, ...] = ()  # schema.name, as people read it


@dataclass(frozen=True, kw_only=True)
class Globals:
    """Roles and tablespaces of the cluster, as SQL in an object of their own beside the dump. `checksum` is SHA-256 in hex."""

    size_bytes: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A whole backup, described. Times are UTC; `checksum` is the SHA-256, in hex, of the dump as it is stored.

    `objects` are sorted by kind; None where they were not noted when the backup was made. `globals` is None where roles and
    tablespaces are not beside it. `warnings` are what was odd when it was made, in words; `guards` the migrations before which it
    was made ("app.0001_name").
    """

    id: UUID
    filename: str
    description: str
    backup_type: str
    environment: str
    database: str
    started_at: datetime
    finished_at: datetime
    size_bytes: int
    checksum: str
    bucket: str
    key: str
    pg_dump_version: str
    compression: str
    application_version: str
    triggered_by: str
    snapshot: Snapshot
    objects: tuple[Objects, ...] | None = None
    globals: Globals | None = None
    warnings: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()

    @property
    def duration_seconds(self) -> float:
        """From the first step to the last."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """How to reach a bucket. The fields are django-storages' of the same names; `attempts` and timeouts (seconds) are what its
    client_config says, or as long as a backup should wait for a store that is away; `max_parts` is the store's limit.
    """

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    addressing_style: str | None = None
    signature_version: str | None = None
    verify: bool | str | None = None
    proxies: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # their URLs may have passwords
    object_parameters: tuple[tuple[str, object], ...] = ()
    attempts: int = 12
    connect_timeout: float = 60
    read_timeout: float = 60
    max_parts: int = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """An object as a listing or HEAD shows it. `modified_at` is UTC."""

    key: str
    size_bytes: int
    modified_at: datetime
    etag: str
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class UnfinishedObject:
    """What a run has begun to write and not ended: a multipart upload, or a partial file. `begun_at` is UTC."""

    key: str
    upload_id: str
    begun_at: datetime


class State(StrEnum):
    """What a check of health has found. That it could not look is not that all is well."""

    OK = "ok"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of health. `id` is stable ("newest-backup", "disk"); with `subject`, what it looked at, it names one problem.

    `text` is the value found, in words; `threshold` when it would not be OK; `hint` what to do.
    """

    id: str
    subject: str = ""
    state: State
    text: str
    threshold: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class TableProgress:
    """One table of a dump, schema.table, that "waits", is dumped "now" or is "done". `bytes` as on the server; `seconds` that it
    has taken, None where that was not seen.
    """

    name: str
    state: str
    bytes: int
    done_bytes: int = 0
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class TablesProgress:
    """How many tables are dumped, of how many; the largest, by size, each with how far it is."""

    done: int
    total: int
    largest: tuple[TableProgress, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run is. Bytes of tables (uncompressed, as on the server) are the denominator; `stored_bytes` is what is written."""

    phase: str
    done_bytes: int = 0
    total_bytes: int = 0
    stored_bytes: int = 0
    table: str = ""
    tables: TablesProgress | None = None


OnProgress = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """The OnProgress of a caller who doesn't look."""

"""Do a database's migrations fit this code? As `manage.py migrate --check` tells, and the other way: what the code lacks."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import DEFAULT_DB_ALIAS, ConnectionHandler

from backups.exceptions import ConfigurationError, PostgresError
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.sentences import sentences as ngettext
from backups.types import Server

OURS = ("backups", "0001_initial")
NAMED = 3  # unknown migrations that are named; of more, the number is told
CONTRIB = frozenset({"admin", "auth", "contenttypes", "flatpages", "redirects", "sessions", "sites"})  # any project's
# As in postgres/connect.py: what an owner has set for his database must not make us run functions of his.
_SAFE = "-c search_path=pg_catalog,public -c row_security=off -c default_transaction_read_only=on"
Key = tuple[str, str]  # app, name


@dataclass(frozen=True, kw_only=True)
class MigrationVerdict:
    """How a database's migrations and this code's fit. Migrations are "app.name", sorted.

    `behind` are this code's that the database lacks, `unknown` the database's that this code does not know. Both are empty
    where the database is not Django's, or not this project's. `application_version` is the code that made the database.
    """

    is_django: bool
    is_ours: bool
    behind: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    application_version: str = ""

    @property
    def fits(self) -> bool:
        """This project's, and neither behind this code nor ahead of it."""
        return self.is_ours and not self.behind and not self.unknown

    @property
    def words(self) -> str:
        """For people, in one line, without a full stop."""
        if not self.is_django:
            return _("not a database of Django")
        if not self.is_ours:
            return _("not a database of this project")
        if self.unknown:
            unknown = ngettext(
                "{count} migration unknown to this code: {names}; {way_back}",
                "{count} migrations unknown to this code: {names}; {way_back}",
                len(self.unknown),
                count=len(self.unknown),
                names=self._unknown_names(),
                way_back=self._way_back(),
            )
            return joined(". ", (unknown, self._lacking())) if self.behind else unknown
        if self.behind:
            return ngettext(
                "{count} migration behind this code: run migrate",
                "{count} migrations behind this code: run migrate",
                len(self.behind),
                count=len(self.behind),
            )
        return _("as this code wants them")

    def __str__(self) -> str:
        return self.words

    def report(self) -> dict[str, Any]:
        """For the history: JSON."""
        return {
            "is_django": self.is_django,
            "is_ours": self.is_ours,
            "behind": list(self.behind),
            "unknown": list(self.unknown),
            "words": self.words,
        }

    def _unknown_names(self) -> str:
        named = ", ".join(name if name.isprintable() else ascii(name) for name in self.unknown[:NAMED])
        more = len(self.unknown) - NAMED
        return _("{named} and {more} more", named=named, more=more) if more > 0 else named

    def _lacking(self) -> str:
        return ngettext(
            "This code has {count} migration that the database lacks",
            "This code has {count} migrations that the database lacks",
            len(self.behind),
            count=len(self.behind),
        )

    def _way_back(self) -> str:
        if self.application_version:
            return _("check out {version}", version=self.application_version)
        return _("check out the code that made them")


def verdict(applied: Collection[str], *, application_version: str) -> MigrationVerdict:
    """What this code says to the migrations of a snapshot ("app.0001_name"), made by the code of `application_version`.

    Raises ConfigurationError where this code's own migrations can't be read.
    """
    return _judged({_key(name) for name in applied}, application_version=application_version)


def check_database(server: Server, *, application_version: str = "") -> MigrationVerdict:
    """The same for a database as it is now. Writes nothing, and does not make the table django_migrations.

    Raises PostgresError when the database can't be read, ConfigurationError as `verdict` does.
    """
    try:
        with _connection(server) as connection:
            applied = set(MigrationRecorder(connection).applied_migrations()) if _has_table(connection) else set()
    except DatabaseError as error:
        raise PostgresError(
            f"The migrations of {server.address} can't be read.",
            detail=str(error),
            hint="Look for yourself: SELECT * FROM public.django_migrations",
        ) from error
    return _judged(applied, application_version=application_version)


def _judged(applied: set[Key], *, application_version: str) -> MigrationVerdict:
    on_disk = _on_disk()
    if not applied or not _is_ours(applied, {app for app, _name in on_disk}):
        return MigrationVerdict(is_django=bool(applied), is_ours=False, application_version=application_version)
    return MigrationVerdict(
        is_django=True,
        is_ours=True,
        behind=_dotted(_behind(applied, on_disk)),
        unknown=_dotted(_unknown(applied, on_disk)),
        application_version=application_version,
    )


def _on_disk() -> dict[Key, tuple[Key, ...]]:
    """This code's migrations, each with those that it replaces (of a squashed one)."""
    loader = MigrationLoader(None, load=False)
    try:
        loader.load_disk()
    except Exception as error:  # whatever a project's own file raises when it is imported
        raise ConfigurationError(
            "The migrations of this code can't be read.", detail=f"{type(error).__name__}: {error}", hint="Try: manage.py check"
        ) from error
    return {key: tuple((app, name) for app, name in one.replaces) for key, one in (loader.disk_migrations or {}).items()}


def _behind(applied: set[Key], on_disk: dict[Key, tuple[Key, ...]]) -> set[Key]:
    """As Django plans: a squashed one counts for those it replaces, unless some of them are applied and others are not.

    https://docs.djangoproject.com/en/5.2/topics/migrations/#squashing-migrations
    """
    lacking = {key for key in on_disk if key not in applied}
    for key, replaced in on_disk.items():
        if applied.intersection(replaced):  # of some, the others are applied one by one; of all, nothing is left to do
            lacking.discard(key)
        elif replaced:
            lacking = (lacking | {key}) - set(replaced)
    return lacking


def _unknown(applied: set[Key], on_disk: dict[Key, tuple[Key, ...]]) -> set[Key]:
    """Not those of apps that are told to have no migrations: they say nothing about this code."""
    known = set(on_disk).union(*on_disk.values())
    return {key for key in applied - known if settings.MIGRATION_MODULES.get(key[0], key[0]) is not None}


def _is_ours(applied: set[Key], apps_on_disk: set[str]) -> bool:
    """It has our own first migration, or most of its apps are apps of this code."""
    its_own = {app for app, _name in applied} - CONTRIB
    return OURS in applied or 2 * len(its_own & apps_on_disk) > len(its_own)


@contextmanager
def _connection(server: Server) -> Iterator[BaseDatabaseWrapper]:
    """A connection of Django's under an alias that only this thread knows: settings.DATABASES stays as it is for all others."""
    alias = f"migrations-{uuid4().hex}"
    given = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": server.host,
        "PORT": str(server.port or ""),
        "USER": server.user,
        "PASSWORD": server.password,
        "NAME": server.database,
        "OPTIONS": {"connect_timeout": 15, "application_name": "restore: migrations"} | dict(server.options) | {"options": _SAFE},
    }
    connection = ConnectionHandler({DEFAULT_DB_ALIAS: {}, alias: given}).create_connection(alias)
    connections[alias] = connection
    try:
        yield connection
    finally:
        connection.close()
        del connections[alias]


def _has_table(connection: BaseDatabaseWrapper) -> bool:
    """A table, and not a view, which could run anything."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_list(cursor)
    return any(table.name == MigrationRecorder.Migration._meta.db_table and table.type == "t" for table in found)


def _key(name: str) -> Key:
    app, _dot, migration = name.partition(".")
    return app, migration


def _dotted(keys: set[Key]) -> tuple[str, ...]:
    return tuple(sorted(".".join(key) for key in keys))

"""The databases that are to be well: those that are backed up, or should be."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connections
from django.db.models import Q

from backups import conf
from backups.exceptions import BackupsError
from backups.models import BackupHistory, BackupType
from backups.postgres.place import address
from backups.querysets import BackupHistoryQuerySet
from backups.types import Server


@dataclass(frozen=True, kw_only=True)
class Site:
    """A database with its alias. `is_namesake`: another alias has a database of this name on another server."""

    alias: str
    server: Server
    is_namesake: bool

    @property
    def name(self) -> str:
        """Under which its checks are told: the database, and its alias where the name alone is not clear."""
        return f"{self.server.database} ({self.alias})" if self.is_namesake else self.server.database

    def runs(self) -> BackupHistoryQuerySet:
        """Every run of its backup in this environment; not those of what a restore has replaced. A run that has failed before it
        came to its server is that of the alias it was asked for by.
        """
        rows = BackupHistory.objects.of_environment(conf.current().environment).filter(database=self.server.database)
        if self.is_namesake and self.server.host:
            at = address(host=self.server.host, port=self.server.port)
            here = Q(server_address=at) | Q(server_address__startswith=f"{at} (")  # a standby
            rows = rows.filter(here | Q(server_address="", alias=self.alias))
        return rows.exclude(backup_type=BackupType.PRE_RESTORE)

    def option(self) -> str:
        """What a command needs to mean this database."""
        return "" if self.alias == "default" else f" --database {self.alias}"


def sites(scheduled: frozenset[str] = frozenset()) -> list[Site]:
    """The default one, those of which the schedules (by alias) make backups, and those of which there is any.

    Raises what Django's database does.
    """
    return [site for site in _sites() if site.alias in {"default", *scheduled} or site.runs().exists()]


def namesakes() -> list[Site]:
    """Those whose database's name alone does not tell them from each other."""
    return [site for site in _sites() if site.is_namesake]


def unwatched(known: Iterable[Site]) -> list[Site]:
    """The configured ones that are not among the known: nobody backs them up, and nothing tells that they should be."""
    aliases = {site.alias for site in known}
    return [site for site in _sites() if site.alias not in aliases]


def _sites() -> list[Site]:
    configured = _configured()
    names = [server.database for server in configured.values()]
    return [
        Site(alias=alias, server=server, is_namesake=names.count(server.database) > 1) for alias, server in configured.items()
    ]


def _configured() -> dict[str, Server]:
    """By alias, each database once; what can't be backed up is a matter of `icb db coverage`."""
    found: dict[str, Server] = {}
    known: set[tuple[str, int, str]] = set()
    for alias in connections:
        try:
            server = conf.server(alias)
        except BackupsError:
            continue
        place = (server.host, server.port, server.database)
        if place not in known:
            known.add(place)
            found[alias] = server
    return found

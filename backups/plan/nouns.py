"""What a plan is made of."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backups import catalog
from backups.exceptions import RefusedError
from backups.postgres import target as at_target
from backups.postgres.programs import ClientProgram
from backups.postgres.target import Target
from backups.sentences import sentence as _
from backups.types import Manifest, Server, Snapshot

NOT_IN_A_BACKUP = (
    _("roles and their passwords"),
    _("other databases of the server"),
    _("rows of foreign tables"),
    _("files outside the database (media)"),
)
Source = catalog.Found | catalog.LocalArchive


class Level(StrEnum):
    """What a check found: fine, worth knowing, or in the way."""

    OK = "ok"
    WARN = "warn"
    BLOCK = "block"


class HistoryPlace(StrEnum):
    """Where the history lies, seen from the target: in it, in it until it was lost, or elsewhere."""

    TARGET = "target"
    LOST = "lost"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, in words, with what to do about it."""

    level: Level
    text: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the person who restores has decided.

    `neutralize` is None where nobody has said; `map_roles` are pairs of a role of the backup and the role that stands in for it.
    """

    keep_owners: bool = True
    keep_privileges: bool = True
    map_roles: tuple[tuple[str, str], ...] = ()
    in_place: bool = False
    tables: tuple[tuple[str, str], ...] = ()
    into_schema: str = ""
    schema_only: bool = False
    neutralize: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """From what, onto what, and how it looks. `expected_seconds` is None where no restore has been measured yet."""

    source: Source
    target: Server
    there: Target
    choices: Choices
    program: ClientProgram | None
    checks: tuple[Check, ...]
    asks_neutralize: bool
    restored_at: datetime | None = None  # when this very backup was last restored
    verified_at: datetime | None = None  # when a verification last restored and compared it
    expected_seconds: float | None = None
    measured_restores: int = 0
    size_bytes: int = 0
    keep_replaced_days: int | None = None  # what is replaced; None keeps it until somebody lets go of it
    history: HistoryPlace = HistoryPlace.ELSEWHERE

    @property
    def manifest(self) -> Manifest | None:
        """What the backup holds; None for a foreign archive."""
        return self.source.manifest

    @property
    def snapshot(self) -> Snapshot | None:
        """The backup's own count of what it holds."""
        return self.manifest.snapshot if self.manifest else None

    @property
    def blocking(self) -> tuple[Check, ...]:
        """What would make it fail, or must not be done."""
        return tuple(check for check in self.checks if check.level is Level.BLOCK)

    @property
    def needs_name(self) -> bool:
        """Whether something that is there goes out of sight, so that its name must be typed."""
        return not self.there.is_empty and not self.choices.into_schema

    def require_possible(self) -> None:
        """Raises RefusedError with everything that stands against it, at once."""
        against = self.blocking
        if len(against) == 1:
            raise RefusedError(
                _("{said} Nothing was touched.", said=against[0].text), detail=against[0].detail, hint=against[0].hint
            )
        if against:
            lines = [
                "\n".join(filter(None, (f"{number}. {check.text}", check.detail, check.hint)))
                for number, check in enumerate(against, 1)
            ]
            raise RefusedError(
                _("{against} things stand against this restore. Nothing was touched.", against=len(against)),
                detail="\n".join(lines),
            )

    def require_decided(self) -> None:
        """Raises RefusedError while nobody has said what becomes of production's sessions and tokens elsewhere."""
        if self.asks_neutralize and self.choices.neutralize is None:
            raise RefusedError(
                _(
                    "This is a backup of production, and this is not: "
                    "shall its sessions, tokens and scheduled tasks be alive here?"
                ),
                hint=_("Say --neutralize to empty and disable them, or --no-neutralize to keep them."),
            )

    def require_confirmed(self, name: str) -> None:
        """Raises RefusedError unless the name of a database that is not empty was typed."""
        if self.needs_name and name != self.target.database:
            raise RefusedError(
                self._not_named(name),
                detail=_("It has, for example: {objects}.", objects=", ".join(self.there.database.objects))
                if self.there.database
                else "",
                hint=_(
                    "To restore onto it, say its name: --yes {database}."
                    " To leave it alone, restore into a new database: --target-dbname NEW_NAME",
                    database=shlex.quote(self.target.database),
                ),
            )

    def _not_named(self, name: str) -> str:
        place = {"database": self.target.database, "host": self.target.host, "port": self.target.port}
        if not name:
            return _(
                "The database {database} on {host}:{port} is not empty, and its name was not given. It was not touched.", **place
            )
        return _(
            "The database {database} on {host}:{port} is not empty, and its name was given as {name}. It was not touched.",
            name=name,
            **place,
        )

    def require_unchanged(self) -> None:
        """Raises RefusedError when the target is not the database any more that was looked at."""
        planned = (self.there.system_identifier, self.there.database.oid if self.there.database else None)
        if at_target.identity(self.target) != planned:
            raise RefusedError(
                _(
                    "{address} is another server or database now than when the plan was made. Nothing was touched.",
                    address=self.target.address,
                ),
                hint=_("Look at the plan again: icb db restore … --dry-run"),
            )

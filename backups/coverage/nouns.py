"""What coverage is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from backups.catalog import Entry
from backups.types import Server

SHOWN = 10


class Level(StrEnum):
    """How much a finding matters, the most urgent first."""

    ACT = "act"
    KNOW = "know this"
    FINE = "fine"


@dataclass(frozen=True)
class Finding:
    """One thing that backups have, or have not. `topic` is its stable name; `hint` what to do, a line each."""

    level: Level
    topic: str
    text: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Findings, the most urgent first; and the databases they are about, by alias."""

    environment: str
    databases: dict[str, str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Site:
    """One of the site's databases, with its newest backup; and the newest of a database of that name on another cluster."""

    alias: str
    server: Server
    newest: Entry | None = None
    namesake: Entry | None = None

    @property
    def name(self) -> str:
        """Of the database."""
        return self.server.database


def some(names: Sequence[str]) -> str:
    """The first of many, a line each."""
    more = [f"and {len(names) - SHOWN:,} more"] if len(names) > SHOWN else []
    return "\n".join([*names[:SHOWN], *more])

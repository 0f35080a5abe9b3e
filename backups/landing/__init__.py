"""How a proven archive gets onto its target: loaded beside it and swapped in, in place, or as a schema beside the live ones.

Whichever way: what is at the target stays as it is until the loaded data has been compared with the backup, but for `InPlace`,
which is all or nothing.
"""

from typing import Any, Protocol

from backups.landing.beside import Beside
from backups.landing.in_place import InPlace
from backups.landing.swapped import Swapped
from backups.landing.work import Work
from backups.postgres import swap
from backups.postgres.compare import Comparison
from backups.types import Server

__all__ = ["Landing", "Work", "landing_for"]


class Landing(Protocol):
    """One way onto the target. The calls come in this order; `clear` in every case that is not a success."""

    loaded: Server  # where the archive is loaded

    def load(self) -> None:
        """Loads the archive, where nobody else sees it if that can be had."""

    def compare(self) -> Comparison | None:
        """Holds what was loaded against the manifest; None where there is none."""

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        """Everything between proof and place; returns what should be told. `own_row` is the restore's row as it will be."""

    def place(self) -> swap.Swapped | None:
        """Puts it in place; returns the swap by which the replaced database stays beside it, None where none does."""

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        """What is left to do once it is in place; returns what should be told."""

    def clear(self) -> str:
        """Removes what was begun; returns what had to be left behind, in words."""


def landing_for(work: Work) -> Landing:
    """The way that was chosen."""
    if work.plan.choices.in_place:
        return InPlace(work)
    if work.plan.choices.into_schema:
        return Beside(work)
    return Swapped(work)

"""What a restore proves of the backup that it restores: that it is bad, or as much as a verification would; else nothing.

Only a whole one from a store, loaded apart from the target, may speak: in the target itself others may write meanwhile, and a
file that somebody has tells nothing of what is in the store.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from backups.exceptions import BackupsError
from backups.models import BackupRestore, RestoreMode, Verdict
from backups.verdicts import is_of_the_server, is_the_backups_fault


class Judged:
    """The judgement on the backup of one restore, whose `row` has the comparison. `is_of_a_store` tells that it is from no file;
    `has_assertions` that the settings ask more of a verification than the comparison.
    """

    def __init__(self, row: BackupRestore, *, is_of_a_store: bool, has_assertions: bool) -> None:
        self.row = row
        self.is_bad = False
        self._is_of_a_store = is_of_a_store
        self._has_assertions = has_assertions

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What fails in here may prove that the backup is bad."""
        try:
            yield
        except BackupsError as error:
            is_told = self._is_of_a_store and not is_of_the_server(error, self.row.comparison_report)
            self.is_bad = is_told and is_the_backups_fault(error)
            raise

    @contextmanager
    def loading(self) -> Iterator[None]:
        """The same where it is loaded apart and whole, as in a verification; and what ends in here compared equal."""
        if self.row.mode != RestoreMode.SWAP:
            yield
            return
        with self.reading():
            yield
        if self._is_of_a_store and not self._has_assertions and self.row.comparison_report.get("equal"):
            self.row.verdict = Verdict.GOOD

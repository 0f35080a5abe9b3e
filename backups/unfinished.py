"""What a backup has begun and not finished: taken away when it fails, with the reason that its row and its maker are given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from backups import history, stores
from backups.exceptions import BackupsError, CancelledError, HistoryError, RunningError, unexpected
from backups.manifest import LIMIT_BYTES
from backups.models import BackupHistory
from backups.storage.keys import globals_key, manifest_key, object_key
from backups.storage.store import Store, Writer
from backups.types import Server


@dataclass
class Unfinished:
    """All that a run would leave behind. `writers` are there from the first upload on, `manifest` once one may be written."""

    row: BackupHistory
    writers: list[tuple[Store, Writer]] = field(default_factory=list)
    manifest: bytes = b""
    is_sealed: bool = False  # every destination has its manifest

    def undo(self, error: BaseException, *, server: Server) -> BackupsError:
        """Removes everything unfinished, writes the row's final state; returns the error to raise, without secrets."""
        secrets = stores.secrets(server)
        reason = _reason(error).scrub(secrets)
        if self.is_sealed:
            return HistoryError(
                f"The backup {self.row.filename} is whole and has its manifest, but the history does not know it yet.",
                detail=str(reason),
                hint="Nothing is lost: icb db list shows it, and it can be restored.",
            )
        if problems := self._remove():
            reason.detail = "\n".join(filter(None, [reason.detail, *problems]))
            reason.scrub(secrets)
        elif self.writers:  # else a signal came before we had the writer of the upload on the row, and the next run aborts it
            self.row.upload_id = ""
        if not self.row._state.adding:  # else there was no history to write to
            self._record(reason)
        return reason.scrub(secrets)

    def _remove(self) -> list[str]:
        """The manifest first: without it a dump is no backup, and one whose manifest can't be taken away keeps its dump."""
        steps = [
            (partial(self._unseal, store), partial(store.delete, globals_key(self._key)), writer.abort)
            for store, writer in self.writers
        ]
        found = [_attempt(unseal) or _attempt(clear) or _attempt(abort) for unseal, clear, abort in steps]
        return [problem for problem in found if problem]

    @property
    def _key(self) -> str:
        return object_key(environment=self.row.environment, filename=self.row.filename)

    def _unseal(self, store: Store) -> None:
        """Takes away a manifest of ours, whose answer may have been lost."""
        key = manifest_key(self._key)
        if not self.manifest or store.head(key) is None:
            return
        if store.read(key, limit_bytes=LIMIT_BYTES) == self.manifest:
            store.delete(key)

    def _record(self, reason: BackupsError) -> None:
        try:
            history.fail(self.row, reason, cancelled=isinstance(reason, CancelledError | RunningError))
        except HistoryError as unrecorded:
            reason.detail = f"{reason.detail}\nThe history could not be written either: {unrecorded.detail}".strip()


def _reason(error: BaseException) -> BackupsError:
    if isinstance(error, BackupsError):
        return error
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return CancelledError("The backup was cancelled. Nothing of it was kept; earlier backups are untouched.")
    return unexpected("The backup failed unexpectedly.", error)


def _attempt(step: Callable[[], None]) -> str:
    """Takes one step of the tidying; what goes wrong comes back as text, so that the other steps follow."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever it is, the rest must be tidied too
        return f"Something was left behind: {error}"
    return ""

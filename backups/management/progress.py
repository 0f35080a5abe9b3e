"""Progress on standard error: a bar where there is a terminal, else a line for each phase."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from backups import words
from backups.types import OnProgress, Progress

LINE_SECONDS = 30.0


@contextmanager
def shown() -> Iterator[OnProgress]:
    """A listener for the length of the block."""
    if sys.stderr.isatty():
        with _bar() as listener:
            yield listener
    else:
        yield _Lines()


class _Lines:
    """For logs and pipes: a line when the phase changes, and twice a minute while it lasts."""

    def __init__(self) -> None:
        self._phase = ""
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase == self._phase and now < self._next:
            return
        changed, self._phase, self._next = progress.phase != self._phase, progress.phase, now + LINE_SECONDS
        text = progress.phase
        if not changed and progress.total_bytes:
            text += f": {words.size(progress.done_bytes)} of {words.size(progress.total_bytes)} {progress.table}"
        sys.stderr.write(f"{text} …\n")
        sys.stderr.flush()


@contextmanager
def _bar() -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[table]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, table="")

        def listener(progress: Progress) -> None:
            total = progress.total_bytes or None
            bar.update(task, description=progress.phase, completed=progress.done_bytes, total=total, table=progress.table)

        yield listener

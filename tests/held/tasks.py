"""A task that lasts until a test lets go of it, and tells by files how it went."""

import os
import time
from pathlib import Path

from celery import shared_task

from backups.interrupts import interruptible


@shared_task(acks_late=True)
def hold(folder: str) -> None:
    where = Path(folder)
    with interruptible():
        try:
            (where / "begun.new").write_text(str(os.getpid()))
            (where / "begun.new").rename(where / "begun")
            while not (where / "let go").exists():
                time.sleep(0.05)
            (where / "done").touch()
        except KeyboardInterrupt:
            (where / "tidied").touch()
            raise

"""manage.py db_cancel: asks a run to stop."""

import json
from argparse import ArgumentParser
from typing import Any

from backups import documents, words
from backups.cancelling import Cancelled, cancel
from backups.management import options
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Parses, asks, prints what was asked to stop."""

    help = (
        "Asks a backup, restore or verification to stop, wherever its process is. It stops within seconds, removes what it had"
        " begun, and its row says cancelled. One that is queued never begins."
    )
    example = "icb db cancel backup-2026-11-22T0130"
    audited = "cancel"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.cancel(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Asks; does not wait until it has stopped."""
        self.on = given["run"]
        with translated():
            cancelled = cancel(given["run"])
        self.stdout.write(_as_json(cancelled) if given["json"] else _as_text(cancelled))


def _as_text(cancelled: Cancelled) -> str:
    what = f"the {cancelled.kind} {words.printable(cancelled.name)}"
    if cancelled.was_queued:
        return f"Cancelled: {what}. It had not begun."
    return f"Asked to stop: {what}\nIt removes what it had begun, and then is shown as cancelled: icb db list"


def _as_json(cancelled: Cancelled) -> str:
    return json.dumps(documents.cancelled(cancelled), indent=2, ensure_ascii=False)

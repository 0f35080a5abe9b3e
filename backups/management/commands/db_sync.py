"""manage.py db_sync: makes bucket and history agree."""

from argparse import ArgumentParser
from typing import Any

from backups import upkeep
from backups.interrupts import interruptible
from backups.management import options, sync_text
from backups.management.base import BackupsCommand, Failed, translated
from backups.sync import CatalogSync


class Command(BackupsCommand):
    """Parses, calls CatalogSync, prints what was found."""

    help = (
        "Makes bucket and history agree: rows from manifests and records, rows whose backup is gone marked, objects that nobody"
        " knows shown, what dead runs have begun and not ended removed after a day. No backup is ever deleted."
    )
    example = "icb db sync --dry-run"
    audited = "sync"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.sync(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints it; fails if a store could not be asked."""
        with translated(), interruptible():
            found = CatalogSync(dry_run=given["dry_run"]).run()
        if not given["dry_run"]:
            upkeep.tell_of_sync(found, is_by_hand=True)
        if given["json"]:
            self.stdout.write(sync_text.as_json(found, dry_run=given["dry_run"]))
        else:
            self.stdout.write(sync_text.as_text(found, dry_run=given["dry_run"]))
        if found.problems:
            raise Failed("\n".join(found.problems), returncode=1)

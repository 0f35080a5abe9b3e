"""manage.py db_pin: keeps a backup, whatever the retention policy says."""

from argparse import ArgumentParser
from typing import Any

from backups.exceptions import UsageError
from backups.management import options, prune_text
from backups.management.base import BackupsCommand, translated
from backups.prune import pin, unpin


class Command(BackupsCommand):
    """Parses, pins or unpins, prints it."""

    help = "Pins a backup, so that it is kept until the pin is removed."
    example = 'icb db pin latest --reason "before the audit"'
    audited = "pin"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.pin(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Pins, or removes the pin."""
        self.audited, self.on = "unpin" if given["remove"] else "pin", given["backup"]
        with translated():
            if given["remove"] and given["reason"]:
                raise UsageError("A pin that is removed needs no reason.", hint="Leave out --reason, or --remove.")
            pinned = unpin(given["backup"]) if given["remove"] else pin(given["backup"], reason=given["reason"] or "")
        self.on = pinned.filename
        self.stdout.write(prune_text.pinned_as_json(pinned) if given["json"] else prune_text.pinned_as_text(pinned))

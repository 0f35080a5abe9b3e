"""manage.py db_diff: what changed between two backups, or since one."""

from argparse import ArgumentParser
from typing import Any

from backups.diff import difference
from backups.management import diff_text, options
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Parses, compares, prints what is different."""

    help = (
        "What changed between two backups, or between one and the live database: tables gone, shrunk, added and grown,"
        " migrations, extensions, versions, size. By their snapshots: nothing is downloaded. The live database is read as by"
        " a backup: TRUNCATE and ALTER TABLE wait meanwhile, nothing else does."
    )
    example = "icb db diff latest"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.diff(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints the difference; that there is one is no failure."""
        with translated():
            found = difference(
                given["before"],
                given["after"],
                database=given["database"],
                environment=given["environment"] or "",
                fingerprints=given["fingerprint"],
            )
        self.stdout.write(diff_text.as_json(found) if given["json"] else diff_text.as_text(found))

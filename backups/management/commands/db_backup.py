"""manage.py db_backup: makes a backup."""

from argparse import ArgumentParser
from typing import Any

from backups.backup import DatabaseBackup
from backups.exceptions import UsageError
from backups.interrupts import interruptible
from backups.management import options, progress, report
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Parses, calls DatabaseBackup, prints what it made."""

    help = "Makes a backup of a database: pg_dump into S3, a local folder, or both, with a signed manifest beside it."
    example = "icb db backup pre-migration --save-local"
    audited = "run"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.backup(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Makes the backup."""
        self.onto = given["database"]
        with translated(), interruptible():
            story = DatabaseBackup(
                description=_description(given["words"], given["description"]),
                database=given["database"],
                upload_to_s3=not given["skip_upload"],
                save_local=given["save_local"],
                fingerprints=given["fingerprint"],
            )
            with progress.shown() as story.on_progress:
                row = story.run()
            self.on = row.filename
        self.stdout.write(report.backup_as_json(row) if given["json"] else report.backup_as_text(row))


def _description(words: str | None, option: str | None) -> str:
    if words and option and words != option:
        raise UsageError("Two descriptions are given.", hint="Leave one of them out.")
    given = words or option
    if not given:
        raise UsageError("A backup needs a description.", hint="For example: icb db backup pre-migration")
    return given

"""manage.py db_restore: brings a backup back."""

from argparse import ArgumentParser
from typing import Any

from backups.exceptions import UsageError
from backups.interrupts import interruptible
from backups.management import options, progress, report, target
from backups.management.base import BackupsCommand, translated
from backups.restore import DatabaseRestore


class Command(BackupsCommand):
    """Parses, calls DatabaseRestore, prints how it compared."""

    help = "Restores a backup into a database that does not exist yet or is empty, and compares it with the backup."
    example = "icb db restore latest --target-dbname rescued"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.restore(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Restores."""
        with translated(), interruptible():
            story = DatabaseRestore(
                filename=_filename(given["backup"], given["filename"]),
                target=target.from_options(given),
                database=given["database"],
                keep_owners=not given["no_owner"],
            )
            with progress.shown() as story.on_progress:
                row = story.run()
        self.stdout.write(report.restore_as_json(row) if given["json"] else report.restore_as_text(row))
        for problem in story.problems:
            self.stderr.write(f"Restored. This did not work beside it: {problem}")


def _filename(words: str | None, option: str | None) -> str:
    if words and option and words != option:
        raise UsageError("Two filenames are given.", hint="Leave one of them out.")
    given = words or option
    if not given:
        raise UsageError("Which backup?", hint="icb db restore latest …, or a filename of icb db list")
    return given

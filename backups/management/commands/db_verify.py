"""manage.py db_verify: proves backups, as far as asked."""

from argparse import ArgumentParser
from typing import Any

from backups import conf, words
from backups.exceptions import UsageError
from backups.interrupts import interruptible
from backups.management import options, progress, verification_text
from backups.management.base import BackupsCommand, Failed, translated
from backups.models import BackupRestore
from backups.proving import unverified
from backups.verify import BackupVerification, is_good


class Command(BackupsCommand):
    """Parses, calls BackupVerification for each, prints the verdicts."""

    help = (
        "Proves a backup: reads what the store holds, decodes it, restores it into a scratch database, compares it with what was"
        " counted when it was made, and drops the scratch database."
    )
    example = "icb db verify latest"
    audited = "verify"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.verify(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints every verdict; then fails if one is not good."""
        self.on = given["backup"] or "all unverified"
        with translated(), interruptible():
            rows = [self._verify(filename, given) for filename in _filenames(given)]
        if given["json"]:
            self.stdout.write(verification_text.as_json(rows))
        elif not rows:
            name = conf.server(given["database"]).database
            self.stdout.write(f"Every backup of {words.printable(name)} is verified already. Another database: --database ALIAS")
        if failed := [row for row in rows if not is_good(row)]:
            raise Failed(verification_text.summary(failed, total=len(rows)), returncode=1)

    def _verify(self, filename: str, given: dict[str, Any]) -> BackupRestore:
        story = BackupVerification(
            filename=filename,
            database=given["database"],
            environment=given["environment"] or "",
            level=given["level"],
        )
        with progress.shown() as story.on_progress:
            row = story.run()
        if not given["json"]:
            self.stdout.write(verification_text.as_text(row))
        for problem in story.problems:
            self.stderr.write(f"Also: {problem}", style_func=str)
        return row


def _filenames(given: dict[str, Any]) -> list[str]:
    if given["all_unverified"] and given["backup"]:
        raise UsageError("A filename and --all-unverified are given.", hint="Leave one of them out.")
    if given["all_unverified"]:
        return unverified(environment=given["environment"] or "", database=given["database"])
    if not given["backup"]:
        raise UsageError("Which backup?", hint="icb db verify latest, or --all-unverified")
    return [given["backup"]]

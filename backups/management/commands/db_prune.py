"""manage.py db_prune: deletes what the retention policy does not keep."""

from argparse import ArgumentParser
from typing import Any

from backups import upkeep
from backups.interrupts import interruptible
from backups.management import options, prune_text
from backups.management.base import BackupsCommand, Failed, translated
from backups.prune import BackupPruning, Judged, Pruning, has_rules


class Command(BackupsCommand):
    """Parses, calls BackupPruning, prints what became of each backup."""

    help = "Deletes backups that no retention rule keeps. Never the newest verified one, never while the newest runs fail."
    example = "icb db prune --dry-run"
    audited = "prune"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.prune(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prunes; then fails if something should be gone and is not."""
        with translated(), interruptible():
            story = BackupPruning(spaced=not given["now"])
            if not given["json"]:
                story.on_judged = self._tell
            pruning = story.plan() if given["dry_run"] else story.run()
        if not pruning.is_dry_run:
            upkeep.tell_of_prune(pruning, is_by_hand=True)
        self.stdout.write(prune_text.as_json(pruning) if given["json"] else _text(pruning))
        if pruning.has_failed and not pruning.is_dry_run:
            raise Failed("Not everything that is obsolete could be deleted.\nThe next prune tries again.", returncode=1)

    def _tell(self, one: Judged) -> None:
        self.stdout.write(prune_text.line(one))


def _text(pruning: Pruning) -> str:
    if pruning.is_dry_run or not has_rules(pruning.policy):
        return prune_text.as_text(pruning)
    return "\n".join(prune_text.ending(pruning))

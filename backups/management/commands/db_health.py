"""manage.py db_health: is all well?"""

import json
from argparse import ArgumentParser
from typing import Any

from backups.health import answer, as_document, report
from backups.management import health_text, options
from backups.management.base import BackupsCommand, translated
from backups.types import State


class Command(BackupsCommand):
    """Parses, calls report, prints a line for each check."""

    help = (
        "Tells whether all is well that backups depend on: backups and their proof, the bucket, servers, client programs, this"
        " machine, scheduler and workers; each with the threshold, and what to do. Exits with 1 if anything is not OK."
    )
    example = "icb db health"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.health(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints the answer and the checks; then fails if one is not OK."""
        with translated():
            checks = report()
            meaning = answer(checks)
        if given["json"]:
            self.stdout.write(json.dumps(as_document(meaning, checks), indent=2, ensure_ascii=False))
        else:
            self.stdout.write(health_text.as_text(meaning, checks, coloured=health_text.is_coloured(self.stdout)))
        if any(check.state is not State.OK for check in checks):
            raise SystemExit(1)

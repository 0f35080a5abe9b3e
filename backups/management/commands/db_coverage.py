"""manage.py db_coverage: what is in no backup."""

from argparse import ArgumentParser
from typing import Any

from backups.coverage import coverage
from backups.management import coverage_text, options
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Looks, prints what it found."""

    help = (
        "What is not in the backups of the site's databases: roles, other databases, rows that a dump has not, uploaded files;"
        " each with what to do. Only looks, on every server that the settings name."
    )
    example = "icb db coverage"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.coverage(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints the findings; that there are some is no failure."""
        with translated():
            found = coverage()
        self.stdout.write(coverage_text.as_json(found) if given["json"] else coverage_text.as_text(found))

"""manage.py db_list: what backups there are."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from backups import catalog
from backups.management import options, report
from backups.management.base import raise_as_command_error, translated


class Command(BaseCommand):
    """Parses, calls the catalogue, prints a table."""

    help = "Lists backups, newest first: the manifests of the bucket joined with the history."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.listing(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints the list; then fails if one of the two sources could not be asked."""
        if given["limit"] < 0:
            raise CommandError("--limit must be 0 or more.", returncode=2)
        with translated():
            listing = catalog.list_backups(limit=given["limit"] or None, all_environments=given["all_environments"])
        if given["json"]:
            self.stdout.write(report.listing_as_json(listing))
        else:
            report.print_listing(listing, sys.stdout if self.stdout._out is sys.stdout else self.stdout)  # type: ignore[attr-defined]
        if listing.problems:
            raise_as_command_error(listing.problems[0])

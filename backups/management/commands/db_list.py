"""manage.py db_list: what backups there are."""

from argparse import ArgumentParser
from typing import Any

from backups import catalog, history
from backups.exceptions import BackupsError, UsageError
from backups.kept import kept_copies
from backups.management import options, report, table
from backups.management.base import BackupsCommand, raise_as_command_error, translated
from backups.postgres.swap import Kept
from backups.types import Server


class Command(BackupsCommand):
    """Parses, calls the catalogue, prints a table."""

    help = "Lists backups, newest first: the manifests of the bucket joined with the history."
    example = "icb db list --limit 5"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.listing(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints the list; then fails if one of the two sources could not be asked."""
        with translated():
            if given["limit"] < 0:
                raise UsageError("--limit must be 0 or more.", hint="0 lists them all.")
            listing = catalog.list_backups(limit=given["limit"] or None, all_environments=given["all_environments"])
            server = history.server()
            kept = _kept(server)
        if given["json"]:
            self.stdout.write(report.listing_as_json(listing, kept))
        else:
            table.print_listing(listing, self.stdout)
            table.print_kept(kept, server, self.stdout)
        if listing.problems:
            raise_as_command_error(*listing.problems)


def _kept(server: Server) -> tuple[Kept, ...]:
    """What restores have replaced on the site's own server; where it is away, the list of backups says so already."""
    try:
        return kept_copies(server)
    except BackupsError:
        return ()

"""manage.py db_contents: what is in a backup."""

from argparse import ArgumentParser
from typing import Any

from backups import catalog, conf
from backups.management import contents
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Parses, asks the catalogue for a manifest, prints it."""

    help = "Lists what is in a backup: tables with rows and bytes, indexes, functions, extensions. The dump is not downloaded."
    example = "icb db contents latest"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument(
            "backup", metavar="FILENAME|latest", help="a filename as icb db list shows it, its beginning, or latest"
        )
        parser.add_argument("--environment", metavar="NAME", help="whose backups (default: this environment's)")
        parser.add_argument("--database", default="default", metavar="ALIAS", help="whose latest backup (default: default)")
        parser.add_argument("--globals", action="store_true", help="print the SQL that makes the cluster's roles and tablespaces")
        parser.add_argument("--json", action="store_true", help="print it as JSON")

    def handle(self, *_args: Any, **given: Any) -> None:
        """Prints the contents."""
        with translated():
            server = conf.server(given["database"])
            environment = given["environment"] or conf.current().environment
            found = catalog.find(given["backup"], environment=environment, database=server.database, server=server)
            if given["globals"]:
                self.stdout.write(catalog.read_globals(found.store, found.key, found.manifest).decode(errors="replace"))
                return
        self.stdout.write(contents.as_json(found.manifest) if given["json"] else contents.as_text(found.manifest))

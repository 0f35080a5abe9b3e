"""The tables in the embedded database. Imports Django, which the rest of the package does not."""

import sys
from collections.abc import Mapping

from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import Service


def prepare_database(environ: Mapping[str, str]) -> None:
    """Applies what migrations there are to the site's database, if it is the embedded one; no other is migrated by itself.

    As with any migrate, a backup comes first where a migration would remove or alter what is there. Django has to be set up, and
    the services to run. Ends the process with exit code 1 when that backup or a migration fails.
    """
    if Service.DATABASE not in embedded.missing(environ):
        return
    from django.core.management import CommandError, call_command
    from django.db import DatabaseError

    try:
        if _unapplied():
            with embedded.home(environ).lock("migrate"):  # two first commands at once
                if _unapplied():
                    embedded.say("Preparing the database …")
                    call_command("migrate", verbosity=0, interactive=False)
    except (DatabaseError, CommandError) as error:
        sys.exit(f"The database could not be prepared: {error}")


def require_prepared_database() -> None:
    """Ends the process with exit code 1, and says what to do, when the site's database is away or lacks migrations."""
    from django.db import DatabaseError

    try:
        lacking = _unapplied()
    except DatabaseError as error:
        sys.exit(f"The database can't be reached: {error}")
    if lacking:
        sys.exit(f"The database lacks {lacking} migrations, and is not the embedded one. Apply them: icb manage migrate")


def _unapplied() -> int:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))

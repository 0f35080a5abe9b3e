"""manage.py token_create: makes a token of the API, and shows it once."""

from argparse import ArgumentParser
from typing import Any

from backups import audit, keyring
from backups.access import Scope
from backups.management import options, token_text
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Parses, makes it, prints it."""

    help = "Makes a token for the API. It is shown this once: only a hash of it is kept."
    example = "icb token create deploy --scope run --days 90"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        options.token_create(parser)

    def handle(self, *_args: Any, **given: Any) -> None:
        """Makes it."""
        with translated():
            token, text = keyring.issue(
                name=given["name"],
                scope=Scope(given["scope"]),
                days=given["days"],
                username=given["user"] or "",
                role=given["group"] or "",
                by=audit.By.of_command(),
            )
        self.stdout.write(token_text.made_as_json(token, text) if given["json"] else token_text.made(token, text))

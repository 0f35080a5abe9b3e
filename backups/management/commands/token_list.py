"""manage.py token_list: which tokens of the API there are."""

from argparse import ArgumentParser
from typing import Any

from backups import keyring
from backups.management import token_text
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Asks, prints."""

    help = "Lists the tokens of the API, the newest first. None of them can be shown again."
    example = "icb token list"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument("--json", action="store_true", help="print the list as JSON")

    def handle(self, *_args: Any, **given: Any) -> None:
        """Lists them."""
        with translated():
            tokens = keyring.every()
        self.stdout.write(token_text.every_as_json(tokens) if given["json"] else token_text.every(tokens))

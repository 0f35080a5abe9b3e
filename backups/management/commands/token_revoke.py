"""manage.py token_revoke: takes a token of the API back."""

from argparse import ArgumentParser
from typing import Any

from backups import audit, keyring, words
from backups.management.base import BackupsCommand, translated


class Command(BackupsCommand):
    """Parses, revokes, says it."""

    help = "Takes a token of the API back: from now on it opens nothing."
    example = "icb token revoke deploy"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument("token", metavar="NAME|ID", help="its name, or its beginning as icb token list shows it")

    def handle(self, *_args: Any, **given: Any) -> None:
        """Revokes it."""
        with translated():
            token = keyring.revoke(given["token"], by=audit.By.of_command())
        self.stdout.write(f"Revoked {words.printable(token.name)} ({token.shown}). Whoever has it is refused from now on.")

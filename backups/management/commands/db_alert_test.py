"""manage.py db_alert_test: a message to everybody who gets alerts."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from backups import conf, notifications, words
from backups.exceptions import UsageError
from backups.management.base import BackupsCommand, Failed, translated
from backups.notifications import Delivery, Message


class Command(BackupsCommand):
    """Parses, delivers, prints who took it."""

    help = (
        "Sends a test message to every receiver of BACKUPS_ALERT_URLS and BACKUPS_ALERT_EMAILS, and tells which of them took it."
        " Exits with 1 if one did not. The URL of BACKUPS_PING_URL is left alone: a ping would say that a backup was made."
    )
    example = "icb db alert-test"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument("--json", action="store_true", help="as JSON, for machines")

    def handle(self, *_args: Any, **given: Any) -> None:
        """Delivers to all at once; as long as the slowest, and 20 seconds at most."""
        with translated():
            deliveries = _test()
        self.stdout.write(json.dumps([asdict(one) for one in deliveries], indent=2) if given["json"] else _as_text(deliveries))
        failed = sum(bool(one.problem) for one in deliveries)
        if failed:
            raise Failed(f"{failed} of {words.things(len(deliveries), 'receiver')} did not take the message.", returncode=1)


def _test() -> Sequence[Delivery]:
    receivers = notifications.receivers()
    if not receivers:
        raise UsageError(
            "Nobody is configured to be told.",
            hint="Set BACKUPS_ALERT_URLS (apprise's URLs: https://appriseit.com/services/) or BACKUPS_ALERT_EMAILS.",
        )
    environment = conf.current().environment
    body = f"This is a test: alerts about the backups of {environment} will reach you like this.\nNothing is wrong."
    return notifications.deliver(Message(title=f"{environment}: test of alerts", body=body), receivers)


def _as_text(deliveries: Sequence[Delivery]) -> str:
    return "\n".join(line for one in deliveries for line in _lines(one))


def _lines(one: Delivery) -> list[str]:
    if not one.problem:
        return [f"OK      {words.printable(one.receiver)}"]
    return [f"FAILED  {words.printable(one.receiver)}: {one.problem}", f"        {one.hint}"]

#!/usr/bin/env python
"""Django's command line. Starts the embedded services first where the environment names no database or bucket."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        run()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"Settings: {error}\n")
        raise SystemExit(2) from None


def run() -> None:
    from django.core.management import execute_from_command_line

    from ichrisbirch_site import embedded

    words = sys.argv[1:]
    if embedded.needed_by(words):
        embedded.ensure_running_or_exit(os.environ)
        if words[0].startswith("db_"):
            import django

            from ichrisbirch_site.embedded.database import prepare_database

            django.setup()
            prepare_database(os.environ)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Django's command line. Starts the embedded services first where the environment names no database or bucket."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")
    from django.core.management import execute_from_command_line

    from ichrisbirch_site import embedded

    if embedded.needed_by(sys.argv[1:]):
        embedded.ensure_running_or_exit(os.environ)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

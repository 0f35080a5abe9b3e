"""`python -m backups.backup` is `manage.py db_backup` with the manage.py of the current folder, whosever project it is."""

import os
import runpy
import sys
from pathlib import Path


def main(command: str) -> int:
    """Runs the management command with this process's arguments. Returns its exit code."""
    if Path("manage.py").is_file():
        sys.argv = ["manage.py", command, *sys.argv[1:]]
        runpy.run_path("manage.py", run_name="__main__")
        return 0
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        sys.stderr.write("There is no manage.py in this folder. Go to the project's folder, or set DJANGO_SETTINGS_MODULE.\n")
        return 2
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", command, *sys.argv[1:]])
    return 0

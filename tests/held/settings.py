"""The site's settings, and the task."""

from ichrisbirch_site.settings import *  # noqa: F403

CELERY_IMPORTS = ("tests.held.tasks",)

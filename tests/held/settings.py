"""The site's settings, and the task."""

from ichrisbirch_site.settings import *  # noqa: F403

CELERY_IMPORTS = ("tests.held.tasks",)
CELERY_TASK_ROUTES = {**CELERY_TASK_ROUTES, "tests.held.tasks.hold": {"queue": "backups"}}  # noqa: F405

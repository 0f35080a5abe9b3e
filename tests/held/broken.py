"""The site's settings, with a scheduler that is none."""

from ichrisbirch_site.settings import *  # noqa: F403

CELERY_BEAT_SCHEDULER = "tests.held.broken:none"

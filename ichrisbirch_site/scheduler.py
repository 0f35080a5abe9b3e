"""The scheduler that beat runs: django-celery-beat's own, without the rows that it could only stumble over."""

import logging
from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from backups import schedules

logger = logging.getLogger(__name__)


class FollowableScheduler(DatabaseScheduler):  # type: ignore[misc]
    """Leaves out what can't be followed, and says why, once until it changes. The tending makes an incident of the same."""

    _told: frozenset[str] = frozenset()

    def enabled_models(self) -> list[Any]:
        """Those that can be sent."""
        rows, problems = schedules.followable(super().enabled_models())
        for problem in sorted(set(problems) - self._told):
            logger.error("%s Edit it in the admin: Periodic tasks.", problem)
        self._told = frozenset(problems)
        return rows

"""How often somebody may ask. Rates are those of REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], else the ones here.

What makes rows is counted by the rows, so it holds over all processes; what only reads, in Django's cache, which may be each
process's own.
"""

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle

from backups import audit
from backups.models import BackupHistory, BackupRestore

DEFAULT_RATES = {"backups_create": "10/min", "backups_read": "600/min"}


class ReadThrottle(SimpleRateThrottle):
    """Of a user, and of an address that nobody is known of: everything."""

    scope = "backups_read"

    def get_rate(self) -> str | None:
        """The site's, else ours."""
        return _rate(str(self.scope))

    def get_cache_key(self, request: Request, view: Any) -> str:
        """By user; by the address that can't be made up."""
        del view
        user = request.user
        ident = f"user-{user.pk}" if user and user.is_authenticated else f"address-{audit.address_of(request)}"
        return self.cache_format % {"scope": self.scope, "ident": ident}


class PlanThrottle(ReadThrottle):
    """Of a user: what reads stores and servers as a run does, but makes no row. As often as runs, and beside them."""

    scope = "backups_plan"

    def get_rate(self) -> str | None:
        """That of runs."""
        return _rate(CreateThrottle.scope)


class CreateThrottle(BaseThrottle):
    """Of a user: what makes a run. Counts the runs that were made, so put it only on what makes one. Whoever is not known makes
    none, and is to be told that, however many runs of nobody's there are.
    """

    scope: ClassVar[str] = "backups_create"

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether there were fewer in the time."""
        del view
        rate = _rate(self.scope)
        if rate is None or request.method in ("GET", "HEAD", "OPTIONS") or not request.user.is_authenticated:
            return True
        # The parsing of a rate is the framework's.
        number, self._seconds = SimpleRateThrottle.parse_rate(self, rate)  # type: ignore[arg-type]
        if number is None or self._seconds is None:
            return True
        since = timezone.now() - timedelta(seconds=self._seconds)
        times = [
            *BackupHistory.objects.filter(triggered_by_id=request.user.pk, created_at__gt=since).values_list(
                "created_at", flat=True
            ),
            *BackupRestore.objects.filter(restored_by_id=request.user.pk, created_at__gt=since).values_list(
                "created_at", flat=True
            ),
        ]
        self._oldest = min(times, default=None)
        return len(times) < number

    def wait(self) -> float | None:
        """Seconds until the oldest of them is out of the time."""
        if self._oldest is None or self._seconds is None:
            return None
        return max(1.0, self._seconds - (timezone.now() - self._oldest).total_seconds())


def _rate(scope: str) -> str | None:
    """None, as a rate of the settings, is no limit."""
    rates: dict[str, Any] = {**DEFAULT_RATES, **(api_settings.DEFAULT_THROTTLE_RATES or {})}
    rate = rates[scope]
    return None if rate is None else str(rate)

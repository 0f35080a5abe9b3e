"""Tokens of the API: whose, for what, until when. Only a hash is kept; what the bearer holds is shown once.

Making and hashing is django-rest-knox's. A token never has more than its user, and no more than its scope.
"""

from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken

PREFIX = "icb_"  # so that scanners for secrets, and people, know one when they see it
SHOWN = 12  # characters of a token that may be shown, to tell which it is: 8 of its 64 random ones


class Scope(StrEnum):
    """What a token may be used for at most. Each has what those before it have."""

    READ = "read"
    RUN = "run"
    RESTORE = "restore"


class Token(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """A token, without what its bearer holds. It is never deleted while its user is there: a revoked one stays, to be told of.

    Of knox's fields: `digest` (SHA-512), `token_key` (its beginning), `created`, `expiry`.
    """

    name = models.CharField(max_length=100, help_text="What it is for: deploy, dashboard.")
    scope = models.CharField(max_length=10, choices=[(scope.value, scope.name.title()) for scope in Scope])
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    user = models.ForeignKey(  # the constraint: see BackupHistory.triggered_by
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )

    class Meta:
        app_label = "backups"
        db_table = 'admin"."backup_token'
        ordering = ("-created",)
        constraints = (
            models.UniqueConstraint(
                fields=("name",), condition=models.Q(revoked_at=None), name="one_token_of_a_name_that_is_not_revoked"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        return self.created  # type: ignore[no-any-return]

    @property
    def expires_at(self) -> datetime | None:
        """When it ends."""
        return self.expiry  # type: ignore[no-any-return]

    @property
    def shown(self) -> str:
        """As much of the token as may be shown."""
        return f"{self.token_key[:SHOWN]}…"

    @property
    def is_valid(self) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and (self.expiry is None or self.expiry > timezone.now())

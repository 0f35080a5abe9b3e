"""What was done and refused, in the table `admin.backup_audit`: only ever added to."""

import uuid
from typing import Any, NoReturn

from django.conf import settings
from django.db import connections, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# From one action to the next by the index, one step each. https://wiki.postgresql.org/wiki/Loose_indexscan
_ACTIONS = """
    WITH RECURSIVE noted (action) AS (
        SELECT min(action) FROM {table}
        UNION ALL
        SELECT (SELECT min(action) FROM {table} WHERE action > noted.action) FROM noted WHERE noted.action IS NOT NULL
    )
    SELECT action FROM noted WHERE action IS NOT NULL
"""


class Channel(models.TextChoices):
    """By which way it came."""

    WEB = "web", _("Web")
    API = "api", _("API")
    COMMAND = "command", _("Command line")
    SCHEDULE = "schedule", _("Schedule")


class Outcome(models.TextChoices):
    """What came of it."""

    DONE = "done", _("Done")
    QUEUED = "queued", _("Queued")  # it was asked for; what came of it stands in the row of the run
    REFUSED = "refused", _("Refused")
    FAILED = "failed", _("Failed")


class AppendOnlyError(TypeError):
    """The audit is only ever added to."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Reads, and adds."""

    def actions(self) -> list[str]:
        """Each that was ever noted, in order; however many entries there are, the few are found by their index."""
        connection = connections[self.db]
        with connection.cursor() as cursor:
            cursor.execute(_ACTIONS.format(table=connection.ops.quote_name(self.model._meta.db_table)))
            return [action for (action,) in cursor.fetchall()]

    def update(self, **_values: Any) -> NoReturn:
        """Nothing is ever changed."""
        raise AppendOnlyError(AppendOnlyError.__doc__)

    def delete(self) -> NoReturn:
        """Nothing is ever taken away."""
        raise AppendOnlyError(AppendOnlyError.__doc__)


class AuditEntry(models.Model):
    """One thing that somebody did, or was refused. The names are kept when whom and what they name is gone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=200, blank=True, help_text="Who: the name of a user, on the command line of an account.")
    user = models.ForeignKey(  # nothing is written here when the user goes: the number stays
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    token_name = models.CharField(max_length=100, blank=True)
    address = models.CharField(max_length=64, blank=True, help_text="From where: an IP address, or a host's name.")
    channel = models.CharField(max_length=10, choices=Channel.choices)
    action = models.CharField(max_length=30)
    object = models.CharField(max_length=300, blank=True, help_text="On what: a filename or an id.")
    target = models.CharField(max_length=300, blank=True, help_text="Onto what: a database.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    detail = models.TextField(blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        app_label = "backups"
        db_table = 'admin"."backup_audit'
        ordering = ("-at",)
        default_permissions = ("view",)
        verbose_name = "audit entry"
        verbose_name_plural = "audit"
        indexes = (
            models.Index(fields=("-at",), name="backup_audit_at"),
            models.Index(fields=("address", "-at"), name="backup_audit_address_at"),
            models.Index(fields=("action", "-at"), name="backup_audit_action_at"),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor or 'somebody'}: {self.action}, {self.outcome}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Adds it; never a second time."""
        if not self._state.adding:
            raise AppendOnlyError(AppendOnlyError.__doc__)
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Nothing is ever taken away."""
        raise AppendOnlyError(AppendOnlyError.__doc__)

"""Who did what, and who was refused."""

from typing import Any

from django.contrib import admin

from backups.access import Action
from backups.admin.read_only import ReadOnlyAdmin
from backups.models import AuditEntry


class ActionFilter(admin.AllValuesFieldListFilter):
    """Django's, without reading every entry for the few actions that there are."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.lookup_choices: Any = AuditEntry.objects.actions()


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The audit. All of an entry stands in its line, so there is no page of one."""

    tab = "audit"
    needed = Action.SEE_AUDIT
    change_list_template = "backups/audit.html"
    list_display = ("at", "actor", "token_name", "address", "channel", "action", "object", "target", "outcome")
    list_filter = ("outcome", ("action", ActionFilter), "channel")
    search_fields = ("actor", "token_name", "address", "object", "target")
    fields = ("at", "actor", "token_name", "address", "channel", "action", "object", "target", "outcome", "detail")
    date_hierarchy = "at"
    list_per_page = 50
    show_full_result_count = False

"""Who did what, and who was refused."""

from django.contrib import admin

from backups.access import Action
from backups.admin.read_only import ReadOnlyAdmin
from backups.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The audit. All of an entry stands in its line, so there is no page of one."""

    tab = "audit"
    needed = Action.SEE_AUDIT
    change_list_template = "backups/audit.html"
    list_display = ("at", "actor", "token_name", "address", "channel", "action", "object", "target", "outcome")
    list_filter = ("outcome", "action", "channel")
    search_fields = ("actor", "token_name", "address", "object", "target")
    fields = ("at", "actor", "token_name", "address", "channel", "action", "object", "target", "outcome", "detail")
    date_hierarchy = "at"
    list_per_page = 50
    show_full_result_count = False

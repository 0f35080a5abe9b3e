"""Which actions the audit has noted, for its filter: found by an index, where each entry was read for it."""

from typing import Any

from django.db import migrations, models


class AddIndex(migrations.AddIndex):
    """Django's drops an index "if it exists", and looks in the schema public, where ours are not."""

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Drops it."""
        schema_editor.execute(f"DROP INDEX admin.{schema_editor.quote_name(self.index.name)}")


class Migration(migrations.Migration):
    dependencies = [("backups", "0009_kept_at")]

    operations = [
        AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["action", "-at"], name="backup_audit_action_at"),
        ),
    ]

"""What the first page, the bucket's and the checks of health ask for: they read a few rows of an index, not all of a table."""

from typing import Any

from django.db import migrations, models


class AddIndex(migrations.AddIndex):
    """Django's drops an index "if it exists", and looks in the schema public, where ours are not."""

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Drops it."""
        schema_editor.execute(f"DROP INDEX admin.{schema_editor.quote_name(self.index.name)}")


class Migration(migrations.Migration):
    dependencies = [("backups", "0007_schedules_of_administrators")]

    operations = [
        AddIndex(
            model_name="backuphistory",
            index=models.Index(fields=["s3_key"], name="backup_object"),
        ),
        AddIndex(
            model_name="backuphistory",
            index=models.Index(fields=["environment", "database", "-created_at"], name="backup_of_database"),
        ),
        AddIndex(
            model_name="backuphistory",
            index=models.Index(
                condition=models.Q(("verified_at__isnull", False)),
                fields=["environment", "database", "-verified_at"],
                name="backup_proven",
            ),
        ),
        AddIndex(
            model_name="backuprestore",
            index=models.Index(
                condition=models.Q(
                    ("level", "restored"), ("purpose", "verification"), ("status", "succeeded"), ("verdict", "good")
                ),
                fields=["-finished_at"],
                name="restore_proof",
            ),
        ),
    ]

"""What the first page, the bucket's and the checks of health ask for: they read a few rows of an index, not all of a table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backups", "0007_schedules_of_administrators")]

    operations = [
        migrations.AddIndex(
            model_name="backuphistory",
            index=models.Index(fields=["s3_key"], name="backup_object"),
        ),
        migrations.AddIndex(
            model_name="backuphistory",
            index=models.Index(fields=["environment", "database", "-created_at"], name="backup_of_database"),
        ),
        migrations.AddIndex(
            model_name="backuphistory",
            index=models.Index(
                condition=models.Q(("verified_at__isnull", False)),
                fields=["environment", "database", "-verified_at"],
                name="backup_proven",
            ),
        ),
        migrations.AddIndex(
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

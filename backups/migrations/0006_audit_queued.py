"""An entry of the audit can say that something is only queued. No column changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backups", "0005_access")]

    operations = [
        migrations.AlterField(
            model_name="auditentry",
            name="outcome",
            field=models.CharField(
                choices=[("done", "Done"), ("queued", "Queued"), ("refused", "Refused"), ("failed", "Failed")], max_length=10
            ),
        ),
    ]

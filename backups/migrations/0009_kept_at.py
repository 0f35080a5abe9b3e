"""Since when a restore keeps what it has replaced: an undo that is undone keeps it anew, long after the restore has ended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backups", "0008_indexes_of_the_panel")]

    operations = [
        migrations.AddField(
            model_name="backuprestore",
            name="kept_at",
            field=models.DateTimeField(blank=True, help_text="Since when it stays there: the moment of the swap.", null=True),
        ),
    ]

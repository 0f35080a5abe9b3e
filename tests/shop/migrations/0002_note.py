"""Only adds, and alters what no column knows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AddField("Product", "note", models.TextField(blank=True, default="")),
        migrations.AlterField("Product", "name", models.CharField(max_length=100, choices=[("tea", "Tea")])),
    ]

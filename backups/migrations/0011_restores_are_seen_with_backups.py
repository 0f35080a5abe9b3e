"""Whoever may see backups sees restores: the permission of their own that the groups had for that gives nothing any more."""

from typing import Any

from django.db import migrations

GROUPS = ("backup viewer", "backup operator", "backup restorer", "backup pruner", "backup administrator")


def take(apps: Any, schema_editor: Any) -> None:
    """From the groups that a migration has made, whatever the operator has changed in them: nobody may do less for it."""
    alias = schema_editor.connection.alias
    groups = apps.get_model("auth", "Group").objects.using(alias).filter(name__in=GROUPS)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    given = permissions.filter(codename="view_backuprestore", content_type__app_label="backups")
    for group in groups:
        group.permissions.remove(*given)


class Migration(migrations.Migration):
    dependencies = [("backups", "0010_actions_of_the_audit")]

    operations = [migrations.RunPython(take, migrations.RunPython.noop, elidable=False)]

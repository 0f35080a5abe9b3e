"""Administrators of backups may edit the schedules, too: who watches over backups sets when they are made."""

from typing import Any

from django.db import migrations

GROUP = "backup administrator"
MODELS = {"periodictask": "periodic task", "crontabschedule": "crontab", "intervalschedule": "interval"}
ACTS = ("view", "add", "change", "delete")
# What the migration before has given to it, and nothing else.
AS_MADE = {
    *("view_backuphistory", "view_backuprestore", "view_auditentry", "run_backup", "verify_backup", "download_backup"),
    *("restore_backup", "prune_backup"),
}


def permit(apps: Any, schema_editor: Any) -> None:
    """A group that the operator has deleted or changed stays so. The permissions are made here, because Django makes them only
    after the last migration.
    """
    alias = schema_editor.connection.alias
    group = apps.get_model("auth", "Group").objects.using(alias).filter(name=GROUP).first()
    if group is None or set(group.permissions.values_list("codename", flat=True)) != AS_MADE:
        return
    types = apps.get_model("contenttypes", "ContentType").objects.using(alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for model, name in MODELS.items():
        of_model, _new = types.get_or_create(app_label="django_celery_beat", model=model)
        for act in ACTS:
            made, _new = permissions.get_or_create(
                content_type=of_model, codename=f"{act}_{model}", defaults={"name": f"Can {act} {name}"}
            )
            group.permissions.add(made)


class Migration(migrations.Migration):
    dependencies = [("backups", "0006_audit_queued"), ("django_celery_beat", "0018_improve_crontab_helptext")]

    operations = [migrations.RunPython(permit, migrations.RunPython.noop, elidable=False)]

"""Who may: permissions and the groups that have them, tokens, the audit; and what a request called itself."""

from typing import Any

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


# Of each group, the permissions that it begins with. From then on it is the operator's.
PERMISSIONS = {
    "view_backuphistory": ("backuphistory", "Can view backup"),
    "view_backuprestore": ("backuprestore", "Can view restore"),
    "view_auditentry": ("auditentry", "Can view audit entry"),
    "run_backup": ("backuphistory", "Can make backups, and cancel them"),
    "verify_backup": ("backuphistory", "Can verify backups"),
    "download_backup": ("backuphistory", "Can download backups: all data that is in them"),
    "restore_backup": ("backuphistory", "Can restore backups, and undo it"),
    "prune_backup": ("backuphistory", "Can delete backups, and pin them"),
}
VIEW = ("view_backuphistory", "view_backuprestore")
GROUPS = {
    "backup viewer": VIEW,
    "backup operator": (*VIEW, "run_backup", "verify_backup"),
    "backup restorer": (*VIEW, "verify_backup", "download_backup", "restore_backup"),
    "backup pruner": (*VIEW, "prune_backup"),
    "backup administrator": tuple(PERMISSIONS),
}


def make_groups(apps: Any, schema_editor: Any) -> None:
    """A group of that name which is there already stays as it is. The permissions are made here, because Django makes them only
    after the last migration.
    """
    alias = schema_editor.connection.alias
    types = apps.get_model("contenttypes", "ContentType").objects.using(alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    groups = apps.get_model("auth", "Group").objects.using(alias)
    made = {}
    for codename, (model, name) in PERMISSIONS.items():
        of_model, _new = types.get_or_create(app_label="backups", model=model)
        made[codename], _new = permissions.get_or_create(content_type=of_model, codename=codename, defaults={"name": name})
    for name, codenames in GROUPS.items():
        group, is_new = groups.get_or_create(name=name)
        if is_new:
            group.permissions.add(*(made[codename] for codename in codenames))


APPEND_ONLY = """
    CREATE FUNCTION "admin"."backup_audit_is_append_only"() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'The audit is only ever added to: % refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
    END $$;
    CREATE TRIGGER backup_audit_is_append_only BEFORE UPDATE OR DELETE ON "admin"."backup_audit"
        FOR EACH STATEMENT EXECUTE FUNCTION "admin"."backup_audit_is_append_only"();
"""
NO_LONGER = """
    DROP TRIGGER backup_audit_is_append_only ON "admin"."backup_audit";
    DROP FUNCTION "admin"."backup_audit_is_append_only"();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("backups", "0004_schedules"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "actor",
                    models.CharField(
                        blank=True, help_text="Who: the name of a user, on the command line of an account.", max_length=200
                    ),
                ),
                ("token_name", models.CharField(blank=True, max_length=100)),
                (
                    "address",
                    models.CharField(blank=True, help_text="From where: an IP address, or a host's name.", max_length=64),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[("web", "Web"), ("api", "API"), ("command", "Command line"), ("schedule", "Schedule")],
                        max_length=10,
                    ),
                ),
                ("action", models.CharField(max_length=30)),
                ("object", models.CharField(blank=True, help_text="On what: a filename or an id.", max_length=300)),
                ("target", models.CharField(blank=True, help_text="Onto what: a database.", max_length=300)),
                (
                    "outcome",
                    models.CharField(choices=[("done", "Done"), ("refused", "Refused"), ("failed", "Failed")], max_length=10),
                ),
                ("detail", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit",
                "db_table": 'admin"."backup_audit',
                "ordering": ("-at",),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Token",
            fields=[
                ("digest", models.CharField(max_length=128, primary_key=True, serialize=False)),
                ("token_key", models.CharField(db_index=True, max_length=25)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("expiry", models.DateTimeField(blank=True, null=True)),
                ("name", models.CharField(help_text="What it is for: deploy, dashboard.", max_length=100)),
                ("scope", models.CharField(choices=[("read", "Read"), ("run", "Run"), ("restore", "Restore")], max_length=10)),
                ("last_used_at", models.DateTimeField(blank=True, help_text="To the minute.", null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": 'admin"."backup_token',
                "ordering": ("-created",),
            },
        ),
        migrations.AlterModelOptions(
            name="backuphistory",
            options={
                "get_latest_by": "created_at",
                "ordering": ("-created_at",),
                "permissions": (
                    ("run_backup", "Can make backups, and cancel them"),
                    ("verify_backup", "Can verify backups"),
                    ("download_backup", "Can download backups: all data that is in them"),
                    ("restore_backup", "Can restore backups, and undo it"),
                    ("prune_backup", "Can delete backups, and pin them"),
                ),
                "verbose_name": "backup",
                "verbose_name_plural": "backups",
            },
        ),
        migrations.AddField(
            model_name="backuphistory",
            name="idempotency_digest",
            field=models.CharField(
                blank=True, help_text="SHA-256 of that request's body: the same key with another body is refused.", max_length=64
            ),
        ),
        migrations.AddField(
            model_name="backuphistory",
            name="idempotency_key",
            field=models.CharField(
                blank=True,
                help_text="What the request called itself: the same from the same user is the same backup.",
                max_length=100,
            ),
        ),
        migrations.AddConstraint(
            model_name="backuphistory",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key", ""), _negated=True),
                fields=("environment", "triggered_by", "idempotency_key"),
                name="backup_once_for_each_idempotency_key",
            ),
        ),
        migrations.AddField(
            model_name="auditentry",
            name="user",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="token",
            name="user",
            field=models.ForeignKey(
                db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["-at"], name="backup_audit_at"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["address", "-at"], name="backup_audit_address_at"),
        ),
        migrations.AddConstraint(
            model_name="token",
            constraint=models.UniqueConstraint(
                condition=models.Q(("revoked_at", None)), fields=("name",), name="one_token_of_a_name_that_is_not_revoked"
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, NO_LONGER),
        migrations.RunPython(make_groups, migrations.RunPython.noop, elidable=False),
    ]

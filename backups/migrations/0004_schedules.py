"""The schedules, made once. From then on they are the operator's: what he edits, disables or deletes in the admin stays so."""

import json
from typing import Any

from django.db import migrations
from django.utils import timezone

DAILY, WEEKLY = {}, {"day_of_week": "0"}
# Name, task, crontab in the time zone of the settings, keyword arguments of the task, description.
BY_THE_CLOCK = (
    ("Daily backup", "scheduled_backup", {"hour": "1", "minute": "30", **DAILY}, {"description": "daily"},
     "Backs up the site's database. Keyword arguments: description, database (an alias), upload_to_s3, save_local."),
    ("Weekly verification", "verify", {"hour": "3", "minute": "30", **WEEKLY}, {},
     "Restores every backup that is not verified yet into a scratch database, and compares it."),
    ("Daily sync", "sync", {"hour": "4", "minute": "30", **DAILY}, {},
     "Makes bucket and history agree."),
    ("Daily prune", "prune", {"hour": "5", "minute": "30", **DAILY}, {},
     "Deletes what the retention policy does not keep; nothing where there is none."),
)  # fmt: skip
# Name, task, seconds, description.
ALL_THE_TIME = (
    ("Tending", "tend", 30, "Ends runs that died, asks for backups that are due. Without it a lost worker is noticed late."),
    ("Health", "check_health", 300, "Looks at everything that backups depend on, and tells what is wrong."),
    ("Pulse", "pulse", 60, "Shows that a worker takes backups from the queue."),
)


def make(apps: Any, schema_editor: Any) -> None:
    """What a restored or older site has of these already stays as it is."""
    from backups import conf

    alias = schema_editor.connection.alias
    crontabs = apps.get_model("django_celery_beat", "CrontabSchedule")
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule")
    tasks = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, task, when, options, description in BY_THE_CLOCK:
        if tasks.objects.using(alias).filter(name=name).exists():
            continue
        fields = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*", "timezone": conf.current().time_zone, **when}
        crontab = crontabs.objects.using(alias).filter(**fields).first() or crontabs.objects.using(alias).create(**fields)
        tasks.objects.using(alias).create(
            name=name, task=f"backups.tasks.{task}", crontab=crontab, kwargs=json.dumps(options), description=description
        )
    for name, task, seconds, description in ALL_THE_TIME:
        if tasks.objects.using(alias).filter(name=name).exists():
            continue
        fields = {"every": seconds, "period": "seconds"}
        interval = intervals.objects.using(alias).filter(**fields).first() or intervals.objects.using(alias).create(**fields)
        tasks.objects.using(alias).create(  # one that nobody took in time is no loss: the next one comes
            name=name, task=f"backups.tasks.{task}", interval=interval, expire_seconds=seconds, description=description
        )
    # A scheduler that finds no such row when it starts would not hear of the first edit.
    apps.get_model("django_celery_beat", "PeriodicTasks").objects.using(alias).update_or_create(
        ident=1, defaults={"last_update": timezone.now()}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("backups", "0003_queue_and_incidents"),
        ("django_celery_beat", "0018_improve_crontab_helptext"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop, elidable=False)]

"""The Celery application: `celery -A ichrisbirch_site worker`."""

import os

from celery import Celery
from celery.signals import beat_init, worker_ready

from ichrisbirch_site.supervisor import readiness

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")

app = Celery("ichrisbirch_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

for signal in (beat_init, worker_ready):
    signal.connect(readiness.tell, weak=False)

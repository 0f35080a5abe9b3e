"""The Celery application: `celery -A ichrisbirch_site worker`."""

import os

from celery import Celery

from ichrisbirch_site import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")

app = Celery("ichrisbirch_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

if not os.environ.get("REDIS_URL"):
    embedded.make_broker(os.environ)

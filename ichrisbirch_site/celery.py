"""The Celery application: `celery -A ichrisbirch_site worker`."""

import os
import warnings

from celery import Celery
from celery.signals import beat_init, worker_ready

from ichrisbirch_site import embedded
from ichrisbirch_site.supervisor import pool, readiness

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")

app = Celery("ichrisbirch_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

if not os.environ.get("REDIS_URL") and not os.environ.get("REDIS_URL_FILE"):
    embedded.make_broker(os.environ)

# It is said for the sake of pickle, which this site's workers do not accept.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

for signal in (beat_init, worker_ready):
    signal.connect(readiness.tell, weak=False)

pool.mend()

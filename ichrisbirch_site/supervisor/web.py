"""gunicorn's configuration: `gunicorn -c python:ichrisbirch_site.supervisor.web ichrisbirch_site.wsgi`."""

import os
from typing import Any

from ichrisbirch_site.supervisor import leash, readiness

worker_class = "gthread"  # pages that follow a run stay open, and must not take a process each
workers = 2
threads = 8
graceful_timeout = 5
control_socket_disable = True  # it would lie in the user's home, one for all sites


def post_fork(_server: Any, _worker: Any) -> None:
    leash.die_with_parent(os.getppid())


def post_worker_init(_worker: Any) -> None:
    readiness.tell()

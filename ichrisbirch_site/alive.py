"""Whether a part of the site is alive, by exit code, for docker-compose.yml: `python -m ichrisbirch_site.alive web 8000`

web PORT  its process answers GET /health/ on this machine
beat      what the scheduler asks for was asked for, and done, in the last minutes

Of a worker `celery inspect ping` tells.
"""

import os
import sys
import urllib.request
from datetime import timedelta

SILENCE = timedelta(minutes=5)  # of the scheduler, which asks for something twice a minute


def main(words: list[str]) -> int:
    """0 alive, 1 not, 2 wrong usage."""
    match words:
        case ["web", port] if port.isdecimal():
            return 0 if web(int(port)) else 1
        case ["beat"]:
            return 0 if beat() else 1
    sys.stderr.write("usage: python -m ichrisbirch_site.alive web PORT|beat\n")
    return 2


def web(port: int) -> bool:
    """Asked under a name that it listens to, as the proxy in front of it asks."""
    name = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".")
    headers = {"Host": name if name not in ("", "*") else "localhost", "X-Forwarded-Proto": "https"}
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/health/", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own http
            return bool(answer.status == 200)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return False


def beat() -> bool:
    """By the scheduler's heartbeat in the history."""
    import django

    django.setup()
    from django.utils import timezone

    from backups.heartbeats import SCHEDULER
    from backups.models import Heartbeat

    return Heartbeat.objects.filter(name=SCHEDULER, at__gte=timezone.now() - SILENCE).exists()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")
    sys.exit(main(sys.argv[1:]))

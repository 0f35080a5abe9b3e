"""Rows of the history, and its list as a browser sees it."""

from django.test import Client
from django.utils import timezone

from backups.models import BackupHistory

LIST = "/admin/backups/backuphistory/"


def row(name: str = "one", **fields: object) -> BackupHistory:
    """A succeeded backup in the history alone."""
    at = fields.pop("created_at", timezone.now())
    number = BackupHistory.objects.count()
    given = {
        "filename": f"backup-2026-11-22T1200-{name}-{number}.dump",
        "description": name,
        "environment": "testing",
        "database": "shop",
        "status": "succeeded",
        "created_at": at,
        "started_at": at,
        "finished_at": at,
        "duration_seconds": 68.0,
        "size_bytes": 300 << 20,
        "database_size_bytes": 2 << 30,
        "bucket": "shop-backups",
        "s3_key": f"testing/{name}",
    }
    return BackupHistory.objects.create(**(given | fields))


def page(client: Client, query: str = "") -> str:
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")


def shown(client: Client, query: str = "") -> list[str]:
    """The names on the page, from the top."""
    return [line.row.description for line in client.get(LIST + query).context["cl"].lines]


def act(client: Client, action: str, *rows: BackupHistory, **more: str):  # type: ignore[no-untyped-def]
    """Selects rows and presses the button."""
    given = {"action": action, "_selected_action": [str(one.pk) for one in rows], "index": "0", **more}
    return client.post(LIST, given)


def said(answer) -> list[str]:  # type: ignore[no-untyped-def]
    """The messages that the next page shows."""
    return [str(one) for one in answer.wsgi_request._messages]

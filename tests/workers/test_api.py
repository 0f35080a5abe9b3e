"""A deploy script's road: it asks the API, a real worker makes the backup, and the script hears of it."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth import get_user_model
from knox.crypto import create_token_string, hash_token

from backups.models import BackupHistory, Heartbeat, Token
from backups.tokens import PREFIX
from tests.api.serving import served
from tests.conftest import Gate, until
from tests.workers.conftest import Workshop

pytestmark = pytest.mark.usefixtures("history")
WANTED = {"description": "pre-migration", "database": "source"}


def headers(**more: str) -> dict[str, str]:
    secret = PREFIX + create_token_string()
    user = get_user_model().objects.create_superuser("deploy")
    Token(user=user, name="deploy", scope="run", digest=hash_token(secret), token_key=secret[:15]).save(force_insert=True)
    return {"Authorization": f"Bearer {secret}", **more}


def test_a_backup_is_asked_for_followed_and_waited_for(
    bucket: str, gate: Gate, folder_workshop: Workshop, tmp_path: Path
) -> None:
    worker = folder_workshop.worker("backups")
    folder_workshop.send("pulse")
    until(Heartbeat.objects.exists, seconds=60)
    asked = headers(**{"Idempotency-Key": "deploy 1"})
    with served(folder_workshop.env, log=tmp_path / "gunicorn.log") as site:
        address = f"{site}/admin/backups/"
        first = requests.post(address, json=WANTED, headers=asked, timeout=30)
        assert (first.status_code, first.json()["status"]) == (202, "pending")
        gate.wait()
        look = partial(requests.get, first.headers["Location"], headers=asked, timeout=30)
        until(lambda: look().json()["progress"].get("phase") == "taking the snapshot")
        running = look()
        assert running.json()["status"] == "running"
        answers: list[Any] = []
        waits = {**asked, "Prefer": "wait=60"}
        waiting = threading.Thread(target=lambda: answers.append(requests.post(address, json=WANTED, headers=waits, timeout=90)))
        waiting.start()
        gate.open()
        waiting.join(timeout=90)
        assert [(one.status_code, one.json()["id"], one.json()["status"]) for one in answers] == [
            (201, first.json()["id"], "succeeded")
        ]
        fresh = requests.get(first.headers["Location"], headers={**asked, "If-None-Match": running.headers["ETag"]}, timeout=30)
        assert (fresh.status_code, fresh.json()["status"]) == (200, "succeeded")
    assert (BackupHistory.objects.count(), worker.process.poll()) == (1, None)

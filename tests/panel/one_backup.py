"""The pages of one backup, as a browser sees them."""

import re

from django.test import Client
from django.utils.html import strip_tags

from backups.models import BackupHistory


def address(row: BackupHistory, more: str = "") -> str:
    return f"/admin/backups/{row.id}/{more}"


def words_of(client: Client, url: str, **headers: str) -> str:
    """What stands on a page, without its tags."""
    answer = client.get(url, **headers)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", strip_tags(answer.content.decode())).replace("\N{NO-BREAK SPACE}", " ")

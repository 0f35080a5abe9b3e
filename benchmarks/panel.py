"""How long the panel takes for its pages where there are 10,000 backups: `python -m benchmarks.panel`.

Milliseconds of server time, in this process: from the request to the whole page, with what PostgreSQL and the S3 server did for
it; how many queries that took, and how many requests to the store. On services of its own below `.icb/panel`, which stay with
`--keep` and are then used again.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.many import Many
from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import services

LIMIT_MS = 200
# What `filling` has made is old: it ends an hour ago now, one in seven is verified, one in fifty has failed, and so on.
IN_USE = """
    UPDATE admin.backup_history SET created_at = created_at + moved.by, started_at = started_at + moved.by,
        finished_at = finished_at + moved.by, status = 'succeeded', verified_at = NULL
        FROM (SELECT now() - interval '1 hour' - max(created_at) AS by FROM admin.backup_history) moved;
    UPDATE admin.backup_history SET verified_at = finished_at, stored_at = finished_at, readable_at = finished_at
        WHERE extract(epoch FROM created_at)::bigint / 3600 % 7 = 0;
    UPDATE admin.backup_history SET status = 'failed', error_message = 'pg_dump ended with exit code 1.'
        WHERE verified_at IS NULL AND extract(epoch FROM created_at)::bigint / 3600 % 50 = 1;
    DELETE FROM admin.backup_restore;
    INSERT INTO admin.backup_restore (id, backup_id, source_key, purpose, target_host, target_port, target_system_identifier,
        target_database, target_environment, level, verdict, mode, kept_database, safety_backup, status, created_at, started_at,
        finished_at, duration_seconds, size_bytes, load_seconds, progress, request, comparison_report, error_message)
        SELECT gen_random_uuid(), id, s3_key, 'verification', 'localhost', 5432, '1', database, environment, 'restored', 'good',
            'swap', '', '', 'succeeded', finished_at, finished_at, finished_at + interval '9 s', 9, size_bytes, 7, '{}', '{}',
            '{}', ''
        FROM admin.backup_history WHERE verified_at IS NOT NULL;
    TRUNCATE admin.backup_audit;
    INSERT INTO admin.backup_audit (id, at, actor, token_name, address, channel, action, object, target, outcome, detail)
        SELECT gen_random_uuid(), created_at, 'bench', '', '127.0.0.1', 'web', 'create', filename, database, 'done', ''
        FROM admin.backup_history;
    INSERT INTO admin.backup_heartbeat (name, at, detail)
        SELECT unnest(ARRAY['scheduler', 'queue:backups', 'queue:upkeep']), now(), '' ON CONFLICT (name) DO UPDATE SET at = now();
"""


@dataclass
class Asked:
    """What a page has asked for."""

    queries: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts, for the length of the block."""
        from django.db import connection

        def count(execute: Any, sql: str, *given: Any) -> Any:
            self.queries.append(sql)
            return execute(sql, *given)

        with connection.execute_wrapper(count):
            yield


def main() -> None:
    """Starts the services, fills them and measures in a process of its own, and tidies."""
    parser = argparse.ArgumentParser(prog="benchmarks.panel", description=__doc__)
    parser.add_argument("--backups", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="", help="pages with this in their names")
    parser.add_argument("--keep", action="store_true", help="leave services and backups for the next time")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        measure(given.backups, given.rounds, only=given.only)
        return
    many = Many(embedded.PROJECT / ".icb" / "panel")
    env = many.env | {
        "DJANGO_SETTINGS_MODULE": "ichrisbirch_site.settings",
        "BACKUPS_RESTORE_TARGETS": "default",
        "LOG_LEVEL": "CRITICAL",
    }
    try:
        many.begin(given.backups)
        words = ["--inside", "--backups", str(given.backups), "--rounds", str(given.rounds), "--only", given.only]
        subprocess.run([sys.executable, "-m", "benchmarks.panel", *words], env=env, check=True)
    finally:
        if not given.keep:
            for server in services.all_of(many.home):
                services.stop(server)
            shutil.rmtree(many.home.folder, ignore_errors=True)


def measure(number: int, rounds: int, *, only: str = "") -> None:
    """Puts the history to use, and looks at each page that has `only` in its name."""
    import botocore
    import django

    asked = Asked()
    botocore.register_initializer(
        lambda session: session.register("before-send.s3", lambda event_name, **_: asked.requests.append(event_name))
    )
    django.setup()
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client

    with connection.cursor() as cursor:
        cursor.execute(IN_USE)
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does where rows come one by one
    user, _new = get_user_model().objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client = Client(HTTP_HOST="localhost", HTTP_ACCEPT="text/html")
    client.force_login(user)
    _say(f"{number:,} backups of 60 tables; {rounds} requests each; the aim is below {LIMIT_MS} ms")
    for name, url in (page for page in _pages() if only in page[0]):
        _measure(client, name, url, asked, rounds)


def _pages() -> Iterator[tuple[str, str]]:
    from django.urls import reverse

    from backups.models import BackupHistory, BackupRestore

    rows = BackupHistory.objects.filter(status="succeeded").order_by("-created_at")
    newest, before = rows[:2]
    restore = BackupRestore.objects.first()
    history = reverse("admin:backups_backuphistory_changelist")
    folder = f"?prefix={newest.s3_key.rpartition('/')[0]}/"
    yield "overview", reverse("backups_panel:overview")
    yield "overview, what runs", reverse("backups_panel:running")
    yield "health", reverse("backups_panel:health")
    yield "health, all checks", reverse("backups_panel:checks")
    yield "backups", history
    yield "backups, from the middle", f"{history}?p=50"
    yield "backups, by size", f"{history}?o=5"
    yield "backups, text that few have", f"{history}?q=2024-06-01"
    yield "new backup", reverse("backups_panel:new")
    yield "one backup", reverse("backups_panel:backup", args=[newest.id])
    yield "its contents", reverse("backups_panel:contents", args=[newest.id])
    yield "its manifest", reverse("backups_panel:manifest", args=[newest.id])
    yield "two compared", reverse("backups_panel:diff", args=[before.id, newest.id])
    yield "deletion", reverse("backups_panel:delete", args=[before.id])
    prune, restore_plan = reverse("backups_panel:prune"), reverse("backups_panel:restore-backup", args=[newest.id])
    yield "prune", prune
    yield "prune, held against the bucket", f"{prune}?bucket=1&now=1"
    yield "restore", restore_plan
    yield "restore, plan that comes after", f"{restore_plan}?now=1"
    yield "restores", reverse("admin:backups_backuprestore_changelist")
    if restore is not None:
        yield "one restore", reverse("backups_panel:restore", args=[restore.id])
    yield "bucket", reverse("backups_panel:storage")
    yield "bucket, its fullest folder", reverse("backups_panel:storage") + folder
    yield "audit", reverse("admin:backups_auditentry_changelist")
    yield "schedules", reverse("backups_panel:schedules")


def _measure(client: Any, name: str, url: str, asked: Asked, rounds: int) -> None:
    client.get(url)  # imports, templates
    asked.queries.clear()
    asked.requests.clear()
    with asked.counting():
        answer = client.get(url)
    queries, requests = len(asked.queries), len(asked.requests)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        client.get(url)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    _say(
        f"{name:<30} {median(times):7.1f} ms (worst of 20: {times[len(times) * 19 // 20]:.1f}),"
        f" {queries:3} queries, {requests} requests, {answer.status_code}, {len(answer.content) / 1024:.0f} KiB"
        f"{'  TOO SLOW' if median(times) > LIMIT_MS else ''}"
    )


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    os.chdir(embedded.PROJECT)
    main()

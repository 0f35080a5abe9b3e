"""How long the API takes for a page of 10,000 backups: `python -m benchmarks.api`.

Milliseconds of server time, in this process: from the request to the whole answer, PostgreSQL's part in it; and how many queries
that took. On services of its own below `.icb/api`, which are gone afterwards.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.measure import LEFT_OUT
from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import Home, services

TABLES = 60


def main() -> None:
    """Starts PostgreSQL, fills it and measures in a process of its own, and tidies."""
    parser = argparse.ArgumentParser(prog="benchmarks.api", description=__doc__)
    parser.add_argument("--backups", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        measure(given.backups, given.rounds)
        return
    home = Home(embedded.PROJECT / ".icb" / "api")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    env = clean | {"ICB_FOLDER": str(home.folder), "PYTHONPATH": str(embedded.PROJECT), "BACKUPS_READ_PER_MINUTE": "100000"}
    env["DJANGO_SETTINGS_MODULE"] = "ichrisbirch_site.settings"
    try:
        services.ensure(services.all_of(home), say=_say)
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=env, check=True)
        words = ["--inside", "--backups", str(given.backups), "--rounds", str(given.rounds)]
        subprocess.run([sys.executable, "-m", "benchmarks.api", *words], env=env, check=True)
    finally:
        for server in services.all_of(home):
            services.stop(server)
        shutil.rmtree(home.folder, ignore_errors=True)


def measure(number: int, rounds: int) -> None:
    """Fills the history, and asks."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.test import Client

    user = get_user_model().objects.create_superuser("bench")
    _fill(number, user)
    client = Client(HTTP_HOST="localhost")
    client.force_login(user)
    first = "/admin/backups/"
    deep = first
    for _ in range(number // 2 // 200):
        deep = client.get(deep if "cursor" in deep else f"{first}?page_size=200").json()["next"]
    known = client.get(first)
    _say(f"{number:,} backups of {TABLES} tables; {rounds} requests each")
    for name, url, headers in (
        ("first page of 50", first, {}),
        ("the same, unchanged", first, {"HTTP_IF_NONE_MATCH": known["ETag"]}),
        ("200 from the middle", deep, {}),
        ("by size", f"{first}?ordering=-size_bytes", {}),
        ("text that few have", f"{first}?text=n99", {}),
        ("one backup", known.json()["results"][0]["url"], {}),
    ):
        _measure(client, name, url, headers, rounds)


def _measure(client: Any, name: str, url: str, headers: dict[str, str], rounds: int) -> None:
    from django.db import connection

    asked: list[str] = []

    def count(execute: Any, sql: str, *given: Any) -> Any:
        asked.append(sql)
        return execute(sql, *given)

    with connection.execute_wrapper(count):
        answer = client.get(url, **headers)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        client.get(url, **headers)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    _say(
        f"{name:<22} {median(times):6.1f} ms (worst of 20: {times[len(times) * 19 // 20]:.1f}),"
        f" {len(asked)} queries, {answer.status_code}, {len(answer.content) / 1024:.0f} KiB"
    )


def _fill(number: int, user: Any) -> None:
    from django.utils import timezone

    from backups.models import BackupHistory

    now = timezone.now()
    tables = [{"schema": "shop", "table": f"table_{n}", "rows": n * 1000, "bytes": n << 20} for n in range(TABLES)]
    rows = (
        BackupHistory(
            filename=f"backup-{uuid4()}.dump",
            description=f"n{n}",
            environment="development",
            database="shop",
            status="succeeded",
            created_at=now - timedelta(hours=n),
            started_at=now - timedelta(hours=n),
            finished_at=now - timedelta(hours=n),
            duration_seconds=7.5,
            size_bytes=(n * 7919) % 1_000_003,
            database_size_bytes=1 << 30,
            checksum="0" * 64,
            table_snapshot={"tables": tables, "total": {"tables": TABLES, "rows": 1, "bytes": 1}},
            triggered_by=user,
        )
        for n in range(number)
    )
    BackupHistory.objects.bulk_create(rows, batch_size=500)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    os.chdir(embedded.PROJECT)
    main()
